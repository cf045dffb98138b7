"""Hub names against a server on this machine that speaks the hub's routes; no other host is asked.

The client reads its address and cache from the environment when it is imported, so each question is asked
in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"\2\0\0\0\0\0\0\0{}",
    "pytorch_model.bin": b"pickle",
    "onnx/model.safetensors": b"another format",
    "README.md": b"card",
}
REPOS = {"org/tiny": MODEL, "org/pickled": {n: b for n, b in MODEL.items() if "safetensors" not in n}}

ASK = """
import json, sys
from geneb_jax.encoder.hf_source import find_source
from geneb_jax.errors import GenebError
try:
    found = find_source(sys.argv[1], where="encoder", allow_pickle=sys.argv[2] == "yes")
    files = sorted(str(p.relative_to(found.folder)) for p in found.folder.rglob("*") if p.is_file())
    print(json.dumps({"name": found.name, "revision": found.revision, "files": files}))
except GenebError as error:
    print(json.dumps({"error": str(error)}))
"""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _send(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.partition("?")[0]
        for repo, files in REPOS.items():
            if path.startswith(f"/api/models/{repo}/revision/"):
                if path.rpartition("/")[2] not in ("main", "v1", COMMIT):
                    return self._send(404, X_Error_Code="RevisionNotFound")
                siblings = [{"rfilename": name} for name in files]
                return self._send(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
            if path.startswith(f"/api/models/{repo}/tree/{COMMIT}"):
                tree = [
                    {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                    for n, b in files.items()
                ]
                return self._send(200, json.dumps(tree).encode())
            prefix = f"/{repo}/resolve/{COMMIT}/"
            if path.startswith(prefix) and path.removeprefix(prefix) in files:
                body = files[path.removeprefix(prefix)]
                return self._send(200, body, ETag=f'"{hashlib.sha1(body).hexdigest()}"', X_Repo_Commit=COMMIT)
        return self._send(404, X_Error_Code="RepoNotFound")

    def do_HEAD(self):
        self.do_GET()


@pytest.fixture
def ask(tmp_path):
    """Ask for a source in a fresh process with its own cache; ``online=False`` honours HF_HUB_OFFLINE."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"

    def call(subject: str, *, allow_pickle: bool = False, online: bool = True) -> dict:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        environment |= {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        environment |= {"HF_HUB_OFFLINE": "0" if online else "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-c", ASK, subject, "yes" if allow_pickle else "no"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        )
        return json.loads(done.stdout)

    yield call
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("subject", ["org/tiny", "org/tiny@v1", f"org/tiny@{COMMIT}"])
def test_a_name_becomes_a_commit_and_only_what_is_read_is_fetched(ask, subject):
    expected = {
        "name": "tiny",
        "revision": COMMIT,
        "files": ["config.json", "model.safetensors", "tokenizer.json"],
    }
    assert ask(subject) == expected
    assert ask(subject, online=False) == expected


def test_pickled_weights_are_not_even_fetched_without_an_opt_in(ask):
    assert "allow_pickle=true" in ask("org/pickled")["error"]
    assert "pytorch_model.bin" in ask("org/pickled", allow_pickle=True)["files"]


@pytest.mark.parametrize(
    ("subject", "online", "words"),
    [
        ("org/tiny@v9", True, "no revision 'v9'"),
        ("org/absent", True, "no such model"),
        ("org/tiny", False, "neither in the local cache"),
        ("./absent", True, "no folder './absent'"),
        ("a b/c", True, "no folder 'a b/c'"),
    ],
)
def test_what_cannot_be_found(ask, subject, online, words):
    assert words in ask(subject, online=online)["error"]
