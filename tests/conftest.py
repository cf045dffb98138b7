"""Fixtures every test may use: the command, and where real data and pretrained encoders lie, if they are here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# tests compare with float64 references and simulate several devices; both must be set before JAX starts
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# most of the suite's time is compilation; without LLVM's optimisations it takes half as long, and a third of that where
# XLA's older emitter writes the loops, not MLIR. The operations and their order stay.
# `XLA_FLAGS=` (empty) runs the suite on the code that users get
_QUICK = "--xla_backend_optimization_level=0"
if version("jax").startswith("0.10."):  # an XLA that does not know a flag ends the process
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", _QUICK)

# axis names and dtypes of every numeric signature are checked in the tests, and free in production; before any import
install_import_hook([f"geneb_jax.{layer}" for layer in ("linear", "metric", "solve", "probes")], "beartype.beartype")

_SHARED = Path(os.environ.get("GENEB_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left alone with one of them at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def _shared(part: str) -> Path:
    folder = _SHARED / part
    if not folder.is_dir():
        pytest.skip(f"needs the folder {part!r} of real {part}, which is not shipped; set GENEB_SHARED to its parent")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder that holds ``geneb/tasks`` and ``more/tasks``: real GENEB tasks in the official layout."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Folder of real pretrained encoders with weights."""
    return _shared("models")


@pytest.fixture(scope="session")
def shared_published() -> Path:
    """Folder of the official leaderboard as CSV."""
    return _shared("published")


@pytest.fixture
def geneb(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command as it is typed; returns its exit status and what it printed."""
    from geneb_jax.cli.main import main

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return call
