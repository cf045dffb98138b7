"""Which solver a batch of probes gets, by a stated cost model: counted operations and bytes over measured rates.

Sizes: n rows, d features and q = d + 1 columns with the intercept's, o outputs (1 for two classes, else k), p lanes.
Fewer rows than features are solved in the rows' span ("dual"): q = n + 1 there, after 2n²d + n³ + 2n²d operations
for the rows' Gram matrix, its factor and the way back. With X shared, what only reads X is done once for all lanes;
the span is then one too.

newton-cg, for one lane, with `CG_PASSES` products with X or Xᵀ and `REFRESHES` new preconditioners of b blocks
(b = o, or 1 for two classes and where o blocks of all lanes exceed `PER_CLASS_BYTES`):

    passes            2·n·q·o each, and 2·q²·o for the preconditioner between two of them
    preconditioners   2·n·q² + q³ at W = 0 (the Gram once where X is shared), then b·(2·n·q² + q³) at each refresh
    memory            (b + 1)·q² + 6·n·o

newton, for one lane, with `STEPS` steps:

    each step         three passes, and the system: 2·n·q² + q³ for two classes; beyond, the smaller of
                      n·q²·o·(o + 1) + (o·q)³ (H whole) and o·(4·n·q² + q³ + 2·n²·q) + n³ (blocks and an n×n coupling)
    memory            3·(o·q)² or o·q² + 4·n² + n·q, and 6·n·o

The time is operations over the rate of their kind (products, factors), but for passes never less than the bytes of X
over the memory's bandwidth; a weighted Gram matrix also moves X three times. Then a fixed time for each logit and step,
each factored matrix and each pass of a loop. A solver whose memory, with X itself, exceeds the budget is not chosen
while the other one fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geneb_jax.errors import ProbeError, unknown_name
from geneb_jax.probes.solvers import SOLVERS, Solver
from geneb_jax.solve.newton import dense_flops, uses_woodbury, woodbury_flops

Form = Literal["primal", "dual"]

STEPS = 9
"""Newton steps of one fit, exact or not; measured: 3 to 10 at tolerance 1e-12, most on separable few-shot draws."""

CG_PASSES = {"binary": 50, "multinomial": 60}
"""Products with X or Xᵀ in those steps with conjugate gradients; measured: 3 to 7 a step. Exact steps take 3 each."""

REFRESHES = 1
"""Preconditioners rebuilt in one fit; measured: none for few rows, one or two for many."""

PER_CLASS_BYTES = 256 * 2**20
"""Most memory for one preconditioner block per class and lane; beyond it all classes share one block."""


@dataclass(frozen=True)
class Rates:
    """What a device does in a second in float64 (float32: twice the operations), and its fixed costs in seconds.

    `per_logit` is what a step does to each logit besides products: probabilities, losses, the step length.
    """

    products: float
    factors: float
    bandwidth: float
    per_factor: float
    per_loop: float
    per_logit: float


RATES: dict[str, Rates] = {
    # one core of a shared two-core x86 server, XLA on CPU, processor time: products 24e9 (a Gram of 160 × 161) to
    # 50e9, Cholesky with inverse 6e9 to 8e9 at 161 and 225, 20 µs for a lane's step at q = 25, logits 60 ns (100,000
    # in a row) to 200 ns (24 in a lane). Bandwidth: 134 MB of X in 4.7 ms on both cores
    "cpu": Rates(products=30e9, factors=7e9, bandwidth=28e9, per_factor=8e-6, per_loop=2e-5, per_logit=8e-8),
    # not measured: half of the H200 data sheet's 67e12 and 4.8e12 B/s; factors at a few per cent, launches of 10 µs
    "gpu": Rates(products=33e12, factors=1e12, bandwidth=2.4e12, per_factor=5e-6, per_loop=2e-4, per_logit=7e-11),
}
"""Rates by device. Ratios decide, so a machine that is faster throughout gets the same choice."""


@dataclass(frozen=True)
class Estimate:
    """One solver's cost for all lanes: operations, bytes held at once with X, and seconds by the model."""

    solver: Solver
    form: Form
    flops: float
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Choice:
    """The solver for a batch of lanes, why, and what the others would have cost (itself among them, quickest first)."""

    solver: Solver
    form: Form
    reason: str
    flops: float
    bytes: int
    seconds: float
    alternatives: tuple[Estimate, ...]


def choose_solver(
    n: int,
    d: int,
    k: int,
    lanes: int,
    *,
    shared_X: bool,
    device: str = "cpu",
    memory_bytes: int,
    itemsize: int,
    override: str | None = None,
) -> Choice:
    """The quickest solver that fits the memory, for `lanes` probes of n rows, d features and k classes.

    `itemsize` is 4 or 8; `override` names a solver to take whatever it costs. Raises UnknownNameError for a name
    that is none, and ProbeError for sizes that are no problem.
    """
    if min(n, d, lanes) < 1 or k < 2 or itemsize not in (4, 8):
        raise ProbeError(f"no cost for {n} rows, {d} features, {k} classes, {lanes} lanes of {itemsize} bytes")
    if device not in RATES:
        raise unknown_name("device", device, RATES)
    if override is not None and override not in SOLVERS:
        raise unknown_name("solver", override, SOLVERS)
    costs = sorted(
        (estimate(solver, n, d, k, lanes, shared_X=shared_X, device=device, itemsize=itemsize) for solver in SOLVERS),
        key=lambda e: (e.seconds, e.solver),
    )
    fitting = [e for e in costs if e.bytes <= memory_bytes]
    if override is not None:
        best = next(e for e in costs if e.solver == override)
    elif fitting:
        best = fitting[0]
    else:
        best = min(costs, key=lambda e: e.bytes)
    return Choice(
        solver=best.solver,
        form=best.form,
        reason=_reason(best, costs, memory_bytes, asked=override is not None),
        flops=best.flops,
        bytes=best.bytes,
        seconds=best.seconds,
        alternatives=tuple(costs),
    )


def _reason(best: Estimate, costs: list[Estimate], memory: int, *, asked: bool) -> str:
    other = next(e for e in costs if e.solver != best.solver)
    numbers = f"{best.solver} {_cost(best)}, {other.solver} {_cost(other)}, {_size(memory)} allowed"
    if asked:
        why = "asked for by name"
    elif best.bytes > memory:
        why = "neither fits the memory, and it needs less"
    elif other.bytes > memory:
        why = "the only one that fits the memory"
    else:
        why = "the quicker by the cost model"
    where = "in the rows' span" if best.form == "dual" else "on all columns"
    return f"{best.solver} {where}: {why} ({numbers})"


def _cost(e: Estimate) -> str:
    return f"{e.flops:.2g} operations in {e.seconds:.2g} s and {_size(e.bytes)}"


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def estimate(
    solver: Solver, n: int, d: int, k: int, lanes: int, *, shared_X: bool, device: str, itemsize: int
) -> Estimate:
    """What one solver costs; the formulas are the module's."""
    kind = "binary" if k == 2 else "multinomial"
    o = 1 if k == 2 else k
    form: Form = "dual" if n < d else "primal"
    q = n + 1 if form == "dual" else d + 1
    copies = 1 if shared_X else lanes
    rates = RATES[device]
    speed = 8 / itemsize

    products = factors = 0.0
    matrices = 0
    if form == "dual":
        products += copies * 4.0 * n**2 * d
        factors += copies * float(n) ** 3
        matrices += copies
    if solver == "newton-cg":
        passes = CG_PASSES[kind]
        blocks = o if o > 1 and lanes * o * q**2 * itemsize <= PER_CLASS_BYTES else 1
        refreshed = REFRESHES * lanes * blocks
        products += (copies + refreshed) * 2.0 * n * q**2 + lanes * passes / 2 * 4.0 * q**2 * o
        factors += (lanes + refreshed) * float(q) ** 3
        matrices += lanes + refreshed
        grams = copies + refreshed
        held = lanes * (blocks + 1) * q**2
        loops = passes / 2
    else:
        passes = 3 * STEPS
        step_products, step_factors, held_by_lane, count, grams_by_step = _newton_system(n, q, o)
        products += lanes * STEPS * step_products
        factors += lanes * STEPS * step_factors
        matrices += lanes * STEPS * count
        grams = lanes * STEPS * grams_by_step
        held = lanes * held_by_lane
        # classes and blocks are worked through one after the other, lanes side by side
        loops = STEPS * (2 + count)
    thin = 2.0 * n * q * o * lanes * passes
    streamed, weighted = (float(n * q * itemsize) * times for times in (copies * passes, 3 * grams))
    seconds = (
        products / (rates.products * speed)
        + factors / (rates.factors * speed)
        + max(thin / (rates.products * speed), streamed / rates.bandwidth)
        + weighted / rates.bandwidth
        + lanes * n * o * STEPS * rates.per_logit
        + matrices * rates.per_factor
        + loops * rates.per_loop
    )
    held += copies * n * q + lanes * 6 * n * o + (copies * (n * d + n**2) if form == "dual" else 0)
    return Estimate(solver, form, products + factors + thin, held * itemsize, seconds)


def _newton_system(n: int, q: int, o: int) -> tuple[float, float, int, int, int]:
    """Of one exact step: operations in products and in factors, numbers held, matrices factored, Gram matrices."""
    if o == 1:
        return 2.0 * n * q**2, float(q) ** 3, 3 * q**2, 1, 1
    if uses_woodbury(n, q, o):
        factors = float(o * q**3 + n**3)
        return woodbury_flops(n, q, o) - factors, factors, o * q**2 + 4 * n**2 + n * q, o + 1, o
    factors = float(o * q) ** 3
    return dense_flops(n, q, o) - factors, factors, 3 * (o * q) ** 2, 1, o * (o + 1) // 2
