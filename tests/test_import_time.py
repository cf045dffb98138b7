"""Importing the package and asking for help are cheap: nothing heavy loads, no accelerator starts."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = (
    "torch",
    "transformers",
    "jax",
    "matplotlib",
    "pyarrow",
    "zarr",
    "sklearn",
    "rich",
    "huggingface_hub",
    "scipy",
)

IMPORT = "import geneb_jax"
HELP = """
from geneb_jax.cli.main import main
try:
    main(["--help"])
except SystemExit as stop:
    assert stop.code == 0
"""


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_it_loads_nothing_heavy_and_returns_within_a_second(code: str) -> None:
    report = f"{code}\nimport sys\nprint('loaded:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - began)
        assert done.stdout.splitlines()[-1].split() == ["loaded:"]
        if seconds[-1] < 1:
            break
    # the best of three: other tests may be running beside this one
    assert min(seconds) < 1


def test_an_unknown_command_lists_the_near_ones_and_exits_2() -> None:
    code = "from geneb_jax.cli.main import main; main(['prob'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "probe" in done.stderr
