"""Where the time and the memory of a command went, phase by phase."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from geneb_jax.backend import devices
from geneb_jax.run.meta import Phase, Session


class PhaseClock:
    """Adds up the wall time of named phases in a session, with the memory high-water mark and kernels after each."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the block's time to a phase, whether or not it succeeds."""
        began = time.perf_counter()
        try:
            yield
        finally:
            phase = self._session.phases.setdefault(name, Phase())
            phase.seconds += time.perf_counter() - began
            phase.peak_memory = peak_memory()
            phase.peak_device_memory = peak_device_memory()
            self._session.kernels.update(kernel_choices())


def peak_memory() -> int | None:
    """Highest resident memory of this process so far, bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def peak_device_memory() -> int | None:
    """Highest memory use of the first accelerator so far, bytes; None on CPU or while JAX has not started."""
    if "jax" not in sys.modules:
        return None
    import jax

    stats = jax.devices()[0].memory_stats()
    return int(stats["peak_bytes_in_use"]) if stats and "peak_bytes_in_use" in stats else None


def device_names() -> list[str]:
    """The devices that JAX computes on; starts JAX. Raises BackendError."""
    return [f"{device.platform}:{device.device_kind}" for device in devices()]


def kernel_choices() -> dict[str, str]:
    """What ran each operation that has a kernel of ours, in words; empty while this process has used none."""
    if "geneb_kernels.choice" not in sys.modules:
        return {}
    from geneb_kernels.choice import choices

    return {operation: str(choice) for operation, choice in choices().items()}
