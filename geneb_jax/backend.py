"""JAX ready to compute in this process, or an error that says why it is not. Loads JAX with the first call only."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from geneb_jax.errors import GenebError

if TYPE_CHECKING:
    import jax


class BackendError(GenebError):
    """JAX cannot compute here: its backend is absent or broken, or this process was forked from one that used it."""


_started = False
_forked = False


def devices() -> list[jax.Device]:
    """The local devices that JAX computes on; starts JAX. Raises BackendError.

    Whatever computes with JAX asks first: in a process forked after JAX has started, its threads are gone, and the
    first computation would wait for them for ever.
    """
    global _started
    if _forked:
        raise BackendError(
            "this process was forked from one in which JAX had started, and would wait for its threads for ever",
            where=f"process {os.getpid()}",
            cure='start workers with multiprocessing.get_context("spawn"), or concurrent.futures with mp_context of '
            "it; fit_many fits many targets in one process",
        )
    try:
        import jax

        found: list[jax.Device] = jax.local_devices()
    except Exception as error:  # JAX raises whatever its plugins do, assertions too
        platforms = os.environ.get("JAX_PLATFORMS")
        raise BackendError(
            f"JAX cannot start: {type(error).__name__}: {one_line(error)}",
            where=f"environment variable JAX_PLATFORMS={platforms}" if platforms else None,
            cure="unset JAX_PLATFORMS, or set it to cpu or to a backend that is installed; `geneb doctor` shows what "
            "JAX finds",
        ) from error
    _started = True
    return found


def one_line(error: BaseException) -> str:
    """What a foreign error says, on one line of at most 300 letters; its type where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _in_child() -> None:
    global _forked
    bridge = sys.modules.get("jax._src.xla_bridge")
    alive = getattr(bridge, "backends_are_initialized", None)
    _forked = _forked or _started or bool(alive is not None and alive())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
