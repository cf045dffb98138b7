"""The hub loader against a server on this machine that speaks the hub's routes; no other host is asked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.task.geneb import DATASET, REVISION

TASK = "iDHS-EL_DNase_I"
OTHER = "iDNA_ABF_5mC"


def rows(seed: int, n: int = 400) -> bytes:
    rng = np.random.default_rng(seed)
    lines = [f"{''.join(rng.choice(list('ACGT'), 40))},{i % 2}\n" for i in range(n)]
    return ("text,label\n" + "".join(lines)).encode()


@dataclass
class Hub:
    """A dataset repository over HTTP. ``faults`` maps a path to the faults of its next GETs, in order."""

    files: dict[str, bytes]
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    revision: str = REVISION

    def gets(self) -> list[str]:
        return [path for verb, path in self.requests if verb == "GET"]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    prefix = f"/datasets/{DATASET}/resolve/"

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _refuse(self, code: int, error: str) -> None:
            self.send_response(code)
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", error)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, body: bool) -> None:
            if not self.path.startswith(prefix):
                return self._refuse(404, "RepoNotFound")
            revision, _, path = self.path.removeprefix(prefix).partition("/")
            hub.requests.append((self.command, path))
            if revision != hub.revision:
                return self._refuse(404, "RevisionNotFound")
            if path not in hub.files:
                return self._refuse(404, "EntryNotFound")
            content = hub.files[path]
            fault = hub.faults[path].pop(0) if body and hub.faults.get(path) else None
            if fault == "500":
                return self._refuse(500, "oops")
            announced = len(content) // 2 if fault == "short" else len(content)
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", hub.revision)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            if body:
                # "cut": the connection breaks half-way; "short": the server itself has half a file
                self.wfile.write(content[: len(content) // 2] if fault else content)
            return None

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {
        f"tasks/{t}/{s}.csv": rows(i) for i, (t, s) in enumerate([(TASK, "train"), (TASK, "test"), (OTHER, "train")])
    }
    state = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


LOAD = """
import json, sys, time
waits, nap = [], time.sleep
def sleep(seconds):
    # what the pauses between attempts add up to is recorded, not waited for
    waits.append(seconds)
    nap(seconds / 100)
time.sleep = sleep
from geneb_jax.errors import GenebError
from geneb_jax.task import load_suite
suite = load_suite("geneb", offline=json.loads(sys.argv[1]))
out = []
for task_id in sys.argv[2:]:
    try:
        task = suite.load(task_id)
        out.append({"n": len(task.train), "digest": task.train.digest, "source": task.source})
    except GenebError as error:
        out.append({"error": type(error).__name__, "text": str(error), "code": int(error.exit_code)})
out.append({"present": suite.present()[sys.argv[2]], "waited": sum(waits)})
print(json.dumps(out))
"""


def load(home: Path, url: str, *tasks: str, offline: bool = False, **env: str) -> list[dict[str, Any]]:
    """Load tasks in a fresh process, as the hub's library reads its variables when it is imported."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "GENEB_", "TRANSFORMERS_"))}
    clean |= {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **env,
    }
    args = [sys.executable, "-W", "error", "-c", LOAD, json.dumps(offline), *tasks]
    done = subprocess.run(args, env=clean, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def names_both_ways(text: str) -> bool:
    return "--data DIR" in text and "GENEB_DATA" in text and f"{DATASET}@{REVISION}" in text


def test_fetches_once_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    first, present = load(tmp_path, hub.url, TASK)
    assert first["n"] == 400
    assert first["source"] == f"hub {DATASET}@{REVISION}"
    assert sorted(hub.gets()) == [f"tasks/{TASK}/test.csv", f"tasks/{TASK}/train.csv"]
    assert present == {"present": True, "waited": 0}
    asked = len(hub.requests)
    # cached: by the variable, by the argument, and with nothing at the other end
    for options in ({"HF_HUB_OFFLINE": "1"}, {"offline": True}, {}):
        again, _ = load(tmp_path, "http://127.0.0.1:9", TASK, **options)
        assert again == first
    assert len(hub.requests) == asked


@pytest.mark.parametrize("options", [{"HF_HUB_OFFLINE": "1"}, {"offline": True}])
def test_offline_without_cache_names_both_ways(hub: Hub, tmp_path: Path, options: dict[str, Any]) -> None:
    failed, present = load(tmp_path, hub.url, TASK, **options)
    assert failed["error"] == "MissingDataError"
    assert failed["code"] == 3
    assert "offline mode is on" in failed["text"]
    assert names_both_ways(failed["text"])
    assert present == {"present": False, "waited": 0}
    assert hub.requests == []


def test_a_server_error_and_a_short_file_are_tried_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults = {f"tasks/{TASK}/train.csv": ["500"], f"tasks/{TASK}/test.csv": ["short"]}
    good, _ = load(tmp_path, hub.url, TASK)
    assert good["n"] == 400
    assert len(hub.gets()) == 4


def test_a_broken_connection_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.faults = {f"tasks/{TASK}/train.csv": ["cut"]}
    good, _ = load(tmp_path, hub.url, TASK)
    whole, _ = load(tmp_path / "other", hub.url, TASK)
    assert good["digest"] == whole["digest"]


def test_a_lasting_server_error_gives_up_and_keeps_nothing_broken(hub: Hub, tmp_path: Path) -> None:
    hub.faults = {f"tasks/{TASK}/test.csv": ["500"] * 3}
    failed, _ = load(tmp_path, hub.url, TASK)
    assert failed["error"] == "MissingDataError"
    assert "tried up to 3 times" in failed["text"]
    assert "500" in failed["text"]
    assert names_both_ways(failed["text"])
    good, _ = load(tmp_path, hub.url, TASK)
    assert good["n"] == 400
    # the file that had arrived was not fetched twice
    assert hub.gets().count(f"tasks/{TASK}/train.csv") == 1


def test_a_missing_file_a_wrong_revision_and_a_bad_row(hub: Hub, tmp_path: Path) -> None:
    hub.files[f"tasks/{TASK}/train.csv"] = b"text,label\nACGT,0\nAC!T,1\n"
    bad, absent, _ = load(tmp_path, hub.url, TASK, OTHER)
    assert bad["error"] == "DataError"
    assert "row 2 (line 3)" in bad["text"]
    assert f"the dataset has no file tasks/{OTHER}/test.csv" in absent["text"]
    hub.revision = "0" * 40
    wrong, _ = load(tmp_path / "fresh", hub.url, TASK)
    assert "no such revision" in wrong["text"]


def test_a_read_only_cache_says_so(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the cache should go")
    failed, _ = load(tmp_path / "file", hub.url, TASK)
    assert failed["error"] == "DataError"
    assert "cache cannot be written" in failed["text"]
    assert "HF_HOME" in failed["text"]


def test_an_unreachable_hub_is_waited_for_once(tmp_path: Path) -> None:
    (_, alone), (first, second, both) = (
        load(tmp_path, "http://127.0.0.1:9", *tasks) for tasks in ([TASK], [TASK, OTHER])
    )
    assert "hub cannot be reached" in first["text"]
    assert names_both_ways(first["text"])
    assert "hub cannot be reached" in second["text"]
    assert 0 < both["waited"] < 1.5 * alone["waited"]
