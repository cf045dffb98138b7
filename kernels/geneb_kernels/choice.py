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
    """What runs an operation, the reason in a sentence, and a kernel's status ("reference" for XLA)."""

    operation: str
    implementation: Implementation
    why: str

    @property
    def status(self) -> str:
        """ "unproven" for a kernel that no GPU has run, "reference" for XLA."""
        return UNPROVEN if self.implementation == "mosaic" else "reference"


_chosen: dict[str, Choice] = {}
_warned: set[tuple[str, str]] = set()


def choices() -> dict[str, Choice]:
    """The last choice of each operation that this process has used."""
    return dict(_chosen)


def dispatch(
    operation: str, implementation: Implementation | None, *, mosaic: Callable[[], T], reference: Callable[[], T]
) -> T:
    """Run `reference` or, where asked for and possible, `mosaic`; a fallback is warned of once.

    implementation: the caller's wish; None: the environment's (`VARIABLE`), and XLA where that is not set. A kernel
    that cannot run raises NotImplementedError with the reason. Raises ValueError for an unknown implementation.
    """
    wanted = implementation or os.environ.get(VARIABLE) or "xla"
    if wanted not in get_args(Implementation):
        raise ValueError(f"the kernels are {' or '.join(get_args(Implementation))}, not {wanted!r} ({VARIABLE})")
    if wanted == "xla":
        return _note(Choice(operation, "xla", "XLA is the default until a kernel is measured to be faster"), reference)
    try:
        require_hopper()
        return _note(Choice(operation, "mosaic", "asked for"), mosaic)
    except NotImplementedError as reason:
        if (operation, str(reason)) not in _warned:
            _warned.add((operation, str(reason)))
            warnings.warn(f"{operation}: XLA in place of the Mosaic GPU kernel: {reason}", stacklevel=3)
        return _note(Choice(operation, "xla", f"the kernel cannot run: {reason}"), reference)


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
