"""Options that would change nothing, numbers without sense and files without end are refused, each with a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geneb_jax.cli.main import main


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("analyse --metric accuracy", 2, "--metric has no effect"),
        ("analyse --published", 2, "--published has no effect"),
        ("recommend --seed 3", 2, "--seed has no effect"),
        ("recommend --groups near", 2, "--groups has no effect"),
        ("bootstrap RUN --level nan", 2, "--level"),
        ("bootstrap RUN --resamples 2147483648", 2, "--resamples"),
        ("analyse --ratio inf", 2, "--ratio"),
        ("recommend --margin nan", 2, "--margin"),
        ("tasks --suite a\0b", 2, "null byte"),
        ("tasks --suite a\ud800b", 2, "surrogate"),
        (f"tasks --suite {'x' * 300}.toml", 3, "what to do"),
        ("analyse --what graph --edges /dev/zero", 3, "a device or a pipe"),
        ("analyse --what graph --edges FIFO", 3, "a device or a pipe"),
        ("tasks --suite FIFO", 3, "a device or a pipe"),
        ("tasks --suite TYPO", 3, "did you mean train"),
    ],
)
def test_it_is_refused_in_words(
    line: str, status: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    typo = tmp_path / "typo.toml"
    typo.write_text('name = "x"\n[[task]]\nid = "t"\ntrian = "a.csv"\ntest = "b.csv"\n')
    with pytest.raises(SystemExit) as stop:
        main(
            [
                word.replace("FIFO", str(pipe)).replace("TYPO", str(typo)).replace("RUN", str(tmp_path))
                for word in line.split(" ")
            ]
        )
    error = capsys.readouterr().err
    assert stop.value.code == status, error
    assert told in error
