"""Shell blocks of the documentation: bash runs them, and their ``geneb`` is this process.

On the shell's path lies a small ``geneb`` that hands its arguments to a socket and prints what comes back. So pipes,
redirections, variables and ``&&`` are bash's own, while imports and compiled programs are paid for once.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click

from geneb_jax.cli.main import app, main
from geneb_jax.errors import ExitCode

# scikit-learn finds the same optimum of small data at once, where JAX would first compile for seconds; not where an
# option asks for what only the engine of this package has
_SKLEARN = {command: {"engine": "sklearn-optimum"} for command in ("probe", "run", "sensitivity")}
_OURS = re.compile(r"--memory-budget|--solver|--x64")

_CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as end:
    end.connect({address!r})
    end.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    end.shutdown(socket.SHUT_WR)
    out, err, code = json.load(end.makefile())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
# settings of a command that a block may give in front of it, as in `GENEB_DEVICES=1 geneb probe ...`
_FORWARDED = ("GENEB_", "HF_")


@dataclass(frozen=True)
class Done:
    """What a block did: exit status of the shell, what it printed, and the calls of ``geneb`` with their status."""

    status: int
    out: str
    err: str
    calls: tuple[tuple[str, int], ...]


class Shell:
    """Runs scripts in a folder; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="geneb-docs-")
        address = str(Path(self._folder.name) / "socket")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(address)
        self._server.listen()
        self._server.settimeout(0.05)
        client = Path(self._folder.name) / "geneb"
        client.write_text(_CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
        client.chmod(0o755)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._folder.cleanup()

    def run(self, script: str, folder: Path) -> Done:
        """Run it, and stop at the first command that fails."""
        here = str(Path(sys.executable).parent)
        return self._bash(f"set -euo pipefail\n{script}", folder, [self._folder.name, here, os.environ["PATH"]])

    def parse(self, script: str, folder: Path) -> Done:
        """Let every ``geneb`` read its options and do nothing; no other program is found, and none is missed."""
        ignore = "command_not_found_handle() { :; }"
        nothing = mock.patch.object(click.Command, "invoke", return_value=None)
        any_path = mock.patch.object(click.Path, "convert", lambda self, value, param, ctx: value)
        with nothing, any_path:
            return self._bash(f"{ignore}\n{script}", folder, [self._folder.name])

    def _bash(self, script: str, folder: Path, path: list[str]) -> Done:
        calls: list[tuple[str, int]] = []
        environment = {**os.environ, "PATH": ":".join(path), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
            process = subprocess.Popen(["/bin/bash", "-c", script], cwd=folder, env=environment, **streams)
            try:
                while process.poll() is None:
                    with contextlib.suppress(TimeoutError):
                        calls.append(self._answer())
            finally:
                process.kill()
                process.wait()
            out.seek(0)
            err.seek(0)
            return Done(process.returncode, out.read(), err.read(), tuple(calls))

    def _answer(self) -> tuple[str, int]:
        """Serve one call of ``geneb``."""
        connection, _ = self._server.accept()
        with connection:
            arguments, folder, environment = json.load(connection.makefile())
            out, err, code = geneb(arguments, folder, environment)
            # 4 says that some fits are degenerate, which data as small as the tests' cannot help
            code = 0 if code == ExitCode.SOME_FAILED else code
            # the other side of a pipe such as `geneb tasks | head` may have gone
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(json.dumps([out, err, code]).encode())
        return " ".join(["geneb", *arguments]), code


def geneb(arguments: list[str], folder: str, environment: Mapping[str, str]) -> tuple[str, str, int]:
    """The command in this process: what it printed on either stream, and its exit status."""
    out, err = io.StringIO(), io.StringIO()
    defaults = {} if _OURS.search(" ".join(arguments)) else _SKLEARN
    given = {name: value for name, value in environment.items() if name.startswith(_FORWARDED)}
    with (
        mock.patch.dict(os.environ, given),
        mock.patch.dict(app.context_settings, default_map=defaults),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(arguments)
        except SystemExit as stop:
            return out.getvalue(), err.getvalue(), int(stop.code or 0)
    raise AssertionError("the command's entry point returned instead of leaving with a status")
