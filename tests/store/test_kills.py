"""kill -9 at random moments of embed, merge and repair, and at every step of what is short: nothing is lost, and
resuming gives the same bytes and leaves no temporary file.

GENEB_KILLS sets the number of moments for each; 34 makes a hundred in all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = int(os.environ.get("GENEB_KILLS", "0"))
SEED = int(os.environ.get("GENEB_KILLS_SEED", "0"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# tests/run/test_embedding_kill.py kills embed twenty times more
@pytest.mark.parametrize(("kind", "count"), [("embed", COUNT or 1), ("merge", COUNT or 3), ("repair", COUNT or 3)])
def test_killed_at_random_moments(tmp_path, kind, count):
    script = Path(__file__).with_name("kill_moments.py")
    call = [sys.executable, str(script), kind, str(tmp_path), str(count), str(SEED)]
    run = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60 + 20 * count)
    assert run.returncode == 0, run.stderr[-3000:]
    counts = json.loads(run.stdout)
    print(kind, counts)
    assert counts["killed"] == count


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("begin", 20),
        ("copy", 60),
        ("export", 2),
        ("export-store", 3),
        pytest.param("import", 20, marks=pytest.mark.slow),
    ],
)
def test_killed_at_every_step(tmp_path, kind, least):
    script = Path(__file__).with_name("kill_moments.py")
    call = [sys.executable, str(script), kind, str(tmp_path), "steps", "1000"]
    run = subprocess.run(call, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout)["steps"] >= least
