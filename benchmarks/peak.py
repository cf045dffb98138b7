"""Peak memory of our side alone, in a fresh process: ``python -m benchmarks.peak FOLDER``, called by the rows.

The parent embeds and writes the arrays, so that neither the encoder nor a rival counts.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.machine import ROOT
from geneb_jax.probes import Lane

if TYPE_CHECKING:  # encoders, suites and pydantic would count as ours
    from benchmarks.record import Memory
    from benchmarks.workloads import Problem

ARRAYS = ("X_train", "y_train", "X_test", "y_test")
MEGABYTES = 300 * 10**6


def peak_memory(problem: Problem, lanes: Sequence[Lane]) -> Memory:
    """Fit the lanes in a fresh process, and again in a second one that need not compile: their largest resident sizes,
    as the operating system has them."""
    from benchmarks.record import Memory

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for array in ARRAYS:
            np.save(folder / f"{array}.npy", getattr(problem, array))
        (folder / "lanes.pickle").write_bytes(pickle.dumps(list(lanes)))
        cold, kept = _measure(folder), _measure(folder)
    allowed = int(1.5 * problem.bytes_X) + MEGABYTES
    return Memory(peak_bytes=cold[1], before_bytes=cold[0], allowed_bytes=allowed, kept_bytes=kept[1])


def _measure(folder: Path) -> tuple[int, int]:
    """Resident size before the fit, and the largest, of a process that keeps its compiled programs in the folder."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak", str(folder)],
        cwd=ROOT,
        env={**os.environ, **cache},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed:\n{done.stderr}")
    before, peak = json.loads(done.stdout.splitlines()[-1])
    return before, peak


def _largest() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # not ru_maxrss: on Linux a new program inherits the largest size of the process that started it
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _child(folder: Path) -> None:
    import jax

    from geneb_jax.probes import fit_task

    jax.devices()
    arrays = [np.load(folder / f"{array}.npy") for array in ARRAYS]
    lanes = pickle.loads((folder / "lanes.pickle").read_bytes())
    before = _largest()
    fit_task(*arrays, lanes)
    fit_task(*arrays, lanes)  # a second call shows whether the first one's memory is given back or used again
    print(json.dumps([before, _largest()]))


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
