"""Which implementation of an operation runs, and why: XLA unless a kernel is asked for, and where it can run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, get_args

import jax

Implementation = Literal["xla", "mosaic"]

VARIABLE: Final = "GENEB_KERNELS"
"""Environment variable that names the implementation where the caller does not."""

UNPROVEN: Final = "unproven"
"""Status of every Mosaic GPU kernel so far: simulated and lowered for Hopper, never run on it."""

HOPPER: Final = "9.0"

T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    """What runs an operation, and the reason in words. fallback: a kernel was asked for and cannot run."""

    operation: str
    implementation: Implementation
    why: str
    fallback: bool = False

    @property
    def status(self) -> str:
        """ "unproven" for a kernel that no GPU has run, "reference" for XLA."""
        return UNPROVEN if self.implementation == "mosaic" else "reference"

    def __str__(self) -> str:
        name = f"Mosaic GPU kernel ({self.status})" if self.implementation == "mosaic" else "XLA"
        return f"{name}: {self.why}"


_chosen: dict[str, Choice] = {}
_warned: set[tuple[str, str]] = set()


def choices() -> dict[str, Choice]:
    """The last choice of each operation that this process has used."""
    return dict(_chosen)


def choose(operation: str, implementation: Implementation | None = None) -> Choice:
    """What would run an operation here. implementation: the caller's wish; None: the environment's (`VARIABLE`).

    Raises ValueError for an unknown implementation.
    """
    wanted = implementation or os.environ.get(VARIABLE) or "xla"
    if wanted not in get_args(Implementation):
        raise ValueError(f"the kernels are {' or '.join(get_args(Implementation))}, not {wanted!r} ({VARIABLE})")
    if wanted == "xla":
        return Choice(operation, "xla", "the default until a kernel is measured to be faster")
    try:
        require_hopper()
    except NotImplementedError as reason:
        return _fallback(operation, reason)
    return Choice(operation, "mosaic", "asked for")


def dispatch(
    operation: str, implementation: Implementation | None, *, mosaic: Callable[[], T], reference: Callable[[], T]
) -> T:
    """Run what `choose` says, or `reference` where `mosaic` raises NotImplementedError: a fallback warns once."""
    chosen = choose(operation, implementation)
    if chosen.implementation == "mosaic":
        try:
            return _note(chosen, mosaic)
        except NotImplementedError as reason:
            chosen = _fallback(operation, reason)
    if chosen.fallback and (operation, chosen.why) not in _warned:
        _warned.add((operation, chosen.why))
        warnings.warn(f"{operation}: XLA in place of the Mosaic GPU kernel: {chosen.why}", stacklevel=3)
    return _note(chosen, reference)


def _fallback(operation: str, reason: NotImplementedError) -> Choice:
    return Choice(operation, "xla", f"the kernel cannot run: {reason}", fallback=True)


def _note(choice: Choice, run: Callable[[], T]) -> T:
    value = run()
    _chosen[choice.operation] = choice
    return value


def require_hopper() -> None:
    """Raises NotImplementedError unless JAX's default device is a GPU of the kernels' instruction set."""
    device = jax.devices()[0]
    if device.platform != "gpu":
        raise NotImplementedError(f"it needs a Hopper GPU, and JAX computes on {device.platform}")
    capability = str(getattr(device, "compute_capability", "unknown"))
    if capability != HOPPER:
        raise NotImplementedError(
            f"it is built for compute capability {HOPPER} (Hopper), and this GPU has {capability}"
        )
