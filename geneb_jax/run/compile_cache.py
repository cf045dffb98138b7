"""Keep compiled programs between processes, so that only the first run of a shape pays for its compilation."""

from __future__ import annotations

import os
from pathlib import Path

from geneb_jax.backend import devices

ENVIRONMENT = "GENEB_COMPILE_CACHE"
"""A folder for compiled programs; empty turns the cache off."""


def cache_folder() -> Path | None:
    """Where compiled programs are kept: `GENEB_COMPILE_CACHE`, else the user's cache folder; None where turned off."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "geneb_jax" / "compiled"


def enable_compile_cache() -> None:
    """Turn JAX's persistent compilation cache on, unless the user has one or can write to none. Raises BackendError."""
    devices()
    import jax

    folder = cache_folder()
    if folder is None or jax.config.values["jax_compilation_cache_dir"]:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a home that cannot be written to costs compile time, nothing else
    jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    # the solver's programs take 0.3 to 3 s each; the many tiny ones are not worth a file
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)  # type: ignore[no-untyped-call]
