"""geneb_jax: compare frozen genomic encoders with batched linear probes in JAX.

The public names below load on first use, so that importing the package starts no accelerator and
loads neither torch nor transformers nor JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from geneb_jax.encoder import load_encoder as load_encoder
    from geneb_jax.estimator import LogisticProbe as LogisticProbe
    from geneb_jax.run import Run as Run
    from geneb_jax.run import embed as embed
    from geneb_jax.run import probe as probe
    from geneb_jax.store import open_store as open_store
    from geneb_jax.task import load_suite as load_suite

_HOMES = {
    "load_suite": "geneb_jax.task",
    "load_encoder": "geneb_jax.encoder",
    "open_store": "geneb_jax.store",
    "embed": "geneb_jax.run",
    "probe": "geneb_jax.run",
    "Run": "geneb_jax.run",
    "LogisticProbe": "geneb_jax.estimator",
}

__all__ = ["LogisticProbe", "Run", "__version__", "embed", "load_encoder", "load_suite", "open_store", "probe"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geneb_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
