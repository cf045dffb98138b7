"""The solver on the device: parity with scikit-learn, bfloat16 stores, no word to the host, copies behind the work."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.ceilings import COPY_BYTES, copy_rate, matrix_rate
from benchmarks.checks import check_lanes
from benchmarks.gpu.kernel_checks import Shape, rows
from benchmarks.gpu.steps import FailedCheckError, Figures, Setting, SkippedError, Step
from benchmarks.rows import BENCHES
from benchmarks.rows.base import Bench, Context, fit
from benchmarks.timing import best_of, seconds_of
from benchmarks.workloads import Problem, Workload, geneb_lanes
from geneb_jax.linear.reference import one_hot
from geneb_jax.probes.blocks import ArrayRows, stream
from geneb_jax.probes.lanes import Lanes, zero_state
from geneb_jax.solve.newton import solve_exact
from geneb_jax.solve.newton_cg import Problem as LaneProblem
from geneb_jax.solve.newton_cg import State
from geneb_kernels.precision import HIGHEST

TOY, REAL = Shape(260, 24, 1, 2), Shape(20_000, 1_024, 1, 2)


def ceilings(setting: Setting) -> Figures:
    """Rates of the device, to compare the other figures with."""
    return {"copy_bytes_per_s": copy_rate(setting.size), "matrix_flops_per_s": matrix_rate(setting.size)}


def badly_scaled(setting: Setting, k: int) -> Problem:
    """A problem of k classes whose columns differ in size by two powers of ten, a quarter of it test rows.

    With more, the gradient no longer proves how near the optimum a float64 reference is.
    """
    shape = REAL if setting.size == "real" else TOY
    rng = np.random.default_rng(k)
    X = rows(shape, rng, decades=2)
    # a tenth of the columns tells the classes apart, each by a fraction of its spread
    centres = rng.normal(size=(k, shape.d)) * (rng.random(shape.d) < 0.1) / 4
    y = rng.integers(k, size=shape.n)
    X += (centres[y] * X.std(axis=0)).astype(np.float32)
    cut = shape.n * 3 // 4
    return Problem(Workload(f"badly scaled, {k} classes", "made", "made", "made"), X[:cut], y[:cut], X[cut:], y[cut:])


def parity(k: int, setting: Setting) -> Figures:
    """GENEB's protocol in float32 beside the optimum: what a tf32 product would spoil."""
    problem = badly_scaled(setting, k)
    lanes = geneb_lanes()
    seconds, results = seconds_of(lambda: fit(problem, lanes))
    found = check_lanes(problem, results)
    figures = {"first_call_s": seconds, **found.model_dump()}
    if not found.ok:
        raise FailedCheckError("; ".join(found.trouble), figures)
    return figures


def bench_row(name: str, setting: Setting) -> Figures:
    """A benchmark row, at its real size where its task is at hand."""
    bench: Bench = BENCHES[name]
    size = "real" if setting.size == "real" and bench.here("real", setting.data) else "toy"
    context = Context(size=cast(Any, size), data=setting.data, repeats=3, memory=False, stock_dtypes=("float32",))
    row = bench.measure(context, bench)
    kept = {"workload", "steady_s", "first_s", "ratio_best", "ratio_as_shipped", "measures", "check", "ceilings"}
    figures = {"row_size": size, **row.model_dump(mode="json", include=kept)}
    if not row.check.ok:
        raise FailedCheckError("; ".join(row.check.trouble), figures)
    return figures


def device_only(setting: Setting) -> Figures:
    """One solve as one program: no callback in it, and no transfer while it runs."""
    problem = badly_scaled(setting, 2)
    X = problem.X_train / problem.X_train.std(axis=0)
    X = np.concatenate([X, np.ones((len(X), 1), np.float32)], axis=1)
    Y = one_hot(problem.y_train, np.arange(2)).astype(np.float32)
    penalty = np.r_[np.ones(X.shape[1] - 1), 0].astype(np.float32)
    ones = np.ones(len(X), np.float32)
    lanes = Lanes(*(jnp.asarray(a) for a in (X, Y, ones[:1], ones[None], penalty[None])))
    start = jax.tree.map(lambda a: a[0], zero_state(lanes))
    given = LaneProblem(lanes.X, lanes.Y, lanes.weights[0], lanes.penalty[0])
    tolerance = jnp.asarray(np.float32(1e-6))

    def solve(given: LaneProblem, start: State, tolerance: jax.Array) -> State:
        return solve_exact(given, start, tolerance=tolerance, max_steps=50, form="primal")

    program = jax.jit(solve).lower(given, start, tolerance).compile()
    if "callback" in (program.as_text() or ""):
        raise FailedCheckError("the compiled solve calls the host", {})
    with jax.transfer_guard("disallow"):
        seconds, state = seconds_of(lambda: jax.block_until_ready(program(given, start, tolerance)))
    figures: dict[str, Any] = {"solve_s": seconds, "steps": int(state.num_steps), "running": int(state.running)}
    figures["guard"] = "watched the solve" if setting.gpu else "sees nothing here: a CPU's arrays are the host's"
    if figures["running"]:
        raise FailedCheckError("the solve did not finish", figures)
    return figures


def overlap(setting: Setting) -> Figures:
    """Blocks sent to the device while the one before is worked on: how much of the shorter of the two is hidden."""
    if not setting.gpu:
        raise SkippedError("a CPU's arrays are the host's: nothing is transferred")
    size = COPY_BYTES[setting.size] // 8
    d = 1024
    X = np.random.default_rng(0).random((8 * size // (4 * d), d), dtype=np.float32)
    block = len(X) // 8
    held = jax.device_put(X[:block])
    gram = jax.jit(lambda G, B: G + jnp.matmul(B.T, B, precision=HIGHEST))
    zero = jnp.zeros((d, d), jnp.float32)

    def work() -> None:
        G = zero
        for _ in range(8):
            G = gram(G, held)
        G.block_until_ready()

    def send() -> None:
        for start in range(0, len(X), block):
            jax.device_put(X[start : start + block]).block_until_ready()

    def both() -> None:
        G = zero
        for part in stream(ArrayRows(X), block):
            G = gram(G, part.raw)
        G.block_until_ready()

    figures = {"work_s": best_of(work, 3), "send_s": best_of(send, 3), "both_s": best_of(both, 3)}
    shorter = min(figures["work_s"], figures["send_s"])
    figures["hidden"] = (figures["work_s"] + figures["send_s"] - figures["both_s"]) / shorter
    if figures["hidden"] < 0.5:
        raise FailedCheckError("less than half of the shorter one is hidden", figures)
    return figures


STEPS = [
    Step("ceilings", "copy rate and float32 matrix rate", ceilings),
    Step("parity of two classes", "float32 fits of GENEB's protocol beside scikit-learn's optimum", partial(parity, 2)),
    Step("parity of five classes", "the same, softmax", partial(parity, 5)),
    Step("solve on the device", "one solve is one program without transfers", device_only),
    Step("transfers behind work", "blocks of X are sent while the one before is used", overlap),
    Step("bfloat16 store", "GENEB's protocol on half-precision stores", partial(bench_row, "store-precision-tf0")),
    Step("protocol tf0", "GENEB's protocol against the stock harness", partial(bench_row, "protocol-tf0-freq")),
    Step("protocol wide", "the same at width 4,096", partial(bench_row, "protocol-wide4096-freq")),
]
