"""What ran where: versions, commit, device. No path and no host name ever enters a result."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("geneb_jax", "jax", "jaxlib", "numpy", "scipy", "scikit-learn", "torch", "optax", "skglm")


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = {line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")}
    return ", ".join(sorted(names)) or platform.machine()


def versions() -> dict[str, str]:
    """Installed versions of what the figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device() -> dict[str, object]:
    """The device JAX computes on, and the processor under it."""
    import jax

    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": jax.device_count(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def device_label(facts: Mapping[str, object] | None = None) -> str:
    """The device in a few words, for tables: this one, or that of a result."""
    facts = device() if facts is None else facts
    if facts["platform"] == "cpu":
        return f"{facts['cores']} cores of {facts['processor']}"
    return f"{facts['kind']} with {facts['cores']} cores"


def leave_memory() -> None:
    """Let JAX take a GPU's memory as it needs it, so that torch finds some too; to be called before JAX starts."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def heading(facts: Mapping[str, object], date: str, commits: Sequence[str]) -> str:
    """Where, when and from which source figures are."""
    return f"**{device_label(facts)}**, {date}, commit {', '.join(commits)}"


def short_commit(commit: str | None, dirty: bool | None) -> str:
    """Ten digits, and whether the source was changed since."""
    return (commit or "no commit")[:10] + (" + changes" if dirty else "")


def commit() -> str | None:
    """The checkout's commit, or None outside git."""
    return _git("rev-parse", "HEAD")


def dirty() -> bool | None:
    """Whether tracked source files of the packages or of the benchmarks differ from the commit."""
    state = _git("status", "--porcelain", "--untracked-files=no", "--", "geneb_jax", "kernels", "benchmarks")
    return None if state is None else bool(state)


def load_average() -> float | None:
    """Other work on the machine when the row began: the one-minute load."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()


def facts() -> dict[str, Any]:
    """Where, by what and when a result was made: the fields that every kind of result file has."""
    return {"device": device(), "versions": versions(), "commit": commit(), "dirty": dirty(), "date": now()}
