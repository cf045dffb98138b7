"""The cost model: its limits, its monotony, and that the choice says its numbers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.errors import ProbeError, UnknownNameError
from geneb_jax.probes import cost
from geneb_jax.probes.cost import Choice, choose_solver, estimate
from geneb_jax.solve.newton import uses_woodbury

GIB = 2**30
SIZES = {
    "n": st.integers(1, 100_000),
    "d": st.integers(1, 4096),
    "k": st.integers(2, 40),
    "lanes": st.integers(1, 1000),
    "shared": st.booleans(),
    "device": st.sampled_from(["cpu", "gpu"]),
    "itemsize": st.sampled_from([4, 8]),
    "solver": st.sampled_from(cost.SOLVERS),
}


def choose(n: int, d: int, k: int, lanes: int, *, shared: bool = True, memory: int = 8 * GIB, **more: object) -> Choice:
    settings = {"itemsize": 8, **more}
    return choose_solver(n, d, k, lanes, shared_X=shared, memory_bytes=memory, **settings)  # type: ignore[arg-type]


MEASURED = [
    # n, d, k, lanes, shared X, milliseconds of newton-cg and of newton, one core, float64, tolerance 1e-12
    (8, 8, 2, 5, False, 1.3, 1.4),
    (24, 24, 2, 1000, False, 83, 167),
    (32, 32, 3, 5, False, 3.8, 8.6),
    (32, 32, 25, 5, False, 13.6, 51),
    (56, 56, 5, 200, False, 328, 1394),
    (224, 224, 2, 5, False, 25, 112),
    (128, 128, 2, 20, False, 35, 110),
    (160, 160, 14, 5, False, 121, 1102),
    (2000, 64, 2, 1, True, 3.9, 8.6),
    (2000, 64, 5, 1, True, 16.6, 93),
    (2048, 1024, 2, 1, True, 604, 2193),
    (8192, 256, 2, 1, True, 87, 345),
    (20_000, 16, 3, 1, True, 26, 42),
    (100_000, 8, 2, 1, True, 39, 63),
    (100_000, 32, 2, 1, True, 90, 189),
]
"""What the constants were read from: few-shot draws in their own coordinates (d = n), and full data."""


@pytest.mark.parametrize(("n", "d", "k", "lanes", "shared", "cg", "exact"), MEASURED)
def test_the_model_agrees_with_what_was_measured(
    n: int, d: int, k: int, lanes: int, shared: bool, cg: float, exact: float
) -> None:
    """The same winner, and each time within a factor of four: a model that picks a solver needs no more."""
    for solver, measured in (("newton-cg", cg), ("newton", exact)):
        seconds = estimate(solver, n, d, k, lanes, shared_X=shared, device="cpu", itemsize=8).seconds  # type: ignore[arg-type]
        assert measured / 4 <= seconds * 1000 <= measured * 4, solver
    assert choose(n, d, k, lanes, shared=shared).solver == "newton-cg"


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(
    ("n", "d", "k", "lanes"),
    [(20_000, 4096, 40, 1), (8_000, 1024, 14, 1), (32_378, 256, 2, 5), (250, 768, 25, 5), (20, 768, 2, 1000)],
)
def test_wide_many_class_and_many_lane_work_is_iterative(n: int, d: int, k: int, lanes: int, device: str) -> None:
    assert choose(n, d, k, lanes, device=device).solver == "newton-cg"


def test_the_form_follows_the_shorter_side() -> None:
    assert choose(100, 101, 2, 1).form == "dual"
    assert choose(101, 101, 2, 1).form == "primal"


@settings(max_examples=50, deadline=None)
@given(n=SIZES["n"], lanes=SIZES["lanes"], device=SIZES["device"], itemsize=SIZES["itemsize"])
def test_a_system_of_all_classes_and_columns_is_never_picked_when_wide(
    n: int, lanes: int, device: str, itemsize: int
) -> None:
    choice = choose(n, 4096, 40, lanes, device=device, itemsize=itemsize, memory=2**60)
    whole = (40 * 4097) ** 2 * itemsize
    # by blocks of columns, or in the span of few rows; the dense Hessian would hold at least `whole` for every lane
    assert choice.solver == "newton-cg" or (choice.form == "dual" and choice.bytes < lanes * whole)


@settings(max_examples=100, deadline=None)
@given(**SIZES, memory=st.integers(0, 2**40))
def test_the_memory_is_respected_where_anything_fits(
    n: int, d: int, k: int, lanes: int, shared: bool, device: str, itemsize: int, solver: str, memory: int
) -> None:
    choice = choose(n, d, k, lanes, shared=shared, device=device, itemsize=itemsize, memory=memory)
    least = min(e.bytes for e in choice.alternatives)
    assert choice.bytes <= memory or choice.bytes == least
    if choice.bytes <= memory:
        assert choice.seconds == min(e.seconds for e in choice.alternatives if e.bytes <= memory)
    else:
        assert "neither fits" in choice.reason
    assert choice == choose(n, d, k, lanes, shared=shared, device=device, itemsize=itemsize, memory=memory)


@settings(max_examples=100, deadline=None)
@given(**SIZES, grow=st.sampled_from(["n", "d", "k", "lanes"]))
def test_more_work_never_costs_less(
    n: int, d: int, k: int, lanes: int, shared: bool, device: str, itemsize: int, solver: str, grow: str
) -> None:
    small = {"n": n, "d": d, "k": k, "lanes": lanes}
    large = {**small, grow: small[grow] + 1}
    if _method(solver, itemsize, **small) != _method(solver, itemsize, **large):
        return
    more = {"shared_X": shared, "device": device, "itemsize": itemsize}
    a, b = (estimate(solver, **sizes, **more) for sizes in (small, large))  # type: ignore[arg-type]
    assert b.seconds >= a.seconds > 0
    assert b.bytes >= a.bytes > 0
    assert b.flops >= a.flops > 0


def _method(solver: str, itemsize: int, n: int, d: int, k: int, lanes: int) -> tuple[bool, bool, bool]:
    """What changes the method itself, and may make more work cheaper: coordinates, number of outputs, systems."""
    o, q = (1 if k == 2 else k), min(n, d) + 1
    blocks = lanes * o * q**2 * itemsize <= cost.PER_CLASS_BYTES
    return n < d, k == 2, blocks if solver == "newton-cg" else uses_woodbury(n, q, o)


def test_sharing_x_never_costs_more() -> None:
    for solver in cost.SOLVERS:
        shared, own = (estimate(solver, 2000, 256, 3, 8, shared_X=s, device="cpu", itemsize=4) for s in (True, False))
        assert shared.seconds < own.seconds
        assert shared.bytes < own.bytes


def test_the_reason_states_both_costs_and_the_memory() -> None:
    choice = choose(2000, 64, 2, 1)
    assert choice.reason.startswith(f"{choice.solver} on all columns: the quicker by the cost model (")
    assert "8,192.0 MiB allowed" in choice.reason
    for e in choice.alternatives:
        assert (
            f"{e.solver} {e.flops:.2g} operations in {e.seconds:.2g} s and {e.bytes / 2**20:,.1f} MiB" in choice.reason
        )
    quick = choice.alternatives[0]
    assert (choice.flops, choice.bytes, choice.seconds) == (quick.flops, quick.bytes, quick.seconds)
    squeezed = choose(2, 768, 2, 1, memory=0)
    assert "neither fits the memory" in squeezed.reason


@pytest.mark.parametrize("name", cost.SOLVERS)
def test_a_solver_asked_for_by_name_is_taken(name: str) -> None:
    choice = choose(20_000, 1024, 14, 5, override=name, memory=0)
    assert choice.solver == name
    assert "asked for by name" in choice.reason


def test_unknown_names_and_impossible_sizes() -> None:
    with pytest.raises(UnknownNameError, match="there is no solver called 'newtonn'") as raised:
        choose(10, 10, 2, 1, override="newtonn")
    assert "newton" in str(raised.value)
    with pytest.raises(UnknownNameError, match="there is no device called 'tpu'"):
        choose(10, 10, 2, 1, device="tpu")
    for sizes in ((0, 10, 2, 1), (10, 10, 1, 1), (10, 10, 2, 0)):
        with pytest.raises(ProbeError):
            choose(*sizes)


def test_a_choice_cannot_be_changed() -> None:
    choice = choose(10, 10, 2, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.solver = "newton"  # type: ignore[misc]
