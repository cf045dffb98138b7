"""The outermost door: whatever happens, an exit status of the contract and a sentence; results outlive their reader."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax import backend
from geneb_jax.cli import tasks
from geneb_jax.cli.main import main

CONTRACT = {0, 2, 3, 4, 130}


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "from geneb_jax.cli.main import main; main()"
    own = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=own, check=False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 32 GiB"),
        RecursionError("maximum recursion depth exceeded"),
        OSError(errno.ENOSPC, "No space left on device", "store"),
        OSError(errno.EROFS, "Read-only file system", "run/run.json"),
        ModuleNotFoundError("No module named 'pyarrow'"),
        UnicodeEncodeError("ascii", "✓", 0, 1, "ordinal not in range"),
        KeyError("labels"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_foreign_error_is_a_sentence_and_an_exit_of_the_contract(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(tasks.command, "callback", fail)
    monkeypatch.setenv("GENEB_DEBUG", "1")  # no file is left behind
    with pytest.raises(SystemExit) as stop:
        main(["tasks"])
    told = capsys.readouterr().err
    assert stop.value.code == 3
    assert "what to do:" in told


def test_an_unforeseen_error_keeps_its_traceback_in_a_file_that_the_message_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise KeyError("labels")

    monkeypatch.setattr(tasks.command, "callback", fail)
    monkeypatch.delenv("GENEB_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["tasks"])
    (kept,) = tmp_path.iterdir()
    told = capsys.readouterr().err
    assert str(kept) in told
    assert "Traceback" not in told
    assert "KeyError: 'labels'" in kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_letters_that_the_output_lacks_are_replaced(encoding: str) -> None:
    done = command("encoders", "--search", "plant", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output_is_told_and_a_closed_pipe_is_not() -> None:
    code = [sys.executable, "-c", "from geneb_jax.cli.main import main; main()", "tasks", "--suite", "quickstart"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(code, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(code, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_doctor_lives_in_a_broken_environment(tmp_path: Path) -> None:
    broken = {
        "JAX_PLATFORMS": "nonsense",
        "JAX_ENABLE_X64": "banana",
        "GENEB_DEVICES": "two",
        "GENEB_DATA": str(tmp_path / "absent"),
        "HOME": "/proc/none",
        "XDG_CACHE_HOME": str(tmp_path / "a-file"),
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
    }
    (tmp_path / "a-file").touch()
    done = command("doctor", **broken)
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    for named in ("JAX:", "GENEB_DEVICES:", "compile cache:"):
        assert named in text


@pytest.mark.filterwarnings("ignore")  # JAX's own, at the fork
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_after_jax_has_started_is_refused_in_words() -> None:
    backend.devices()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            backend.devices()
        except backend.BackendError as error:
            os.write(writing, pickle.dumps(error))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        error = pickle.loads(answer.read())
    assert isinstance(error, backend.BackendError)
    assert "spawn" in (error.cure or "")
    assert backend.devices()  # the parent goes on
