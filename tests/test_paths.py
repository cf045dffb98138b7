"""Names out of files, addresses and other people's runs stay inside their folder, at every door."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.errors import DataError, GenebError, MissingDataError, RunError, StoreError
from geneb_jax.paths import confined, why_not
from geneb_jax.report.submission.build import entry_of
from geneb_jax.report.submission.mteb import write_mteb
from geneb_jax.report.web.site import MANIFEST, Site
from geneb_jax.run import Run
from geneb_jax.run.predictions import read_pair
from geneb_jax.run.probing import probe
from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.copying import copy_store
from geneb_jax.store.exchange import export_element, import_file
from geneb_jax.store.merge import merge
from geneb_jax.store.repair import repair_store
from geneb_jax.task import load_suite
from geneb_jax.task.files import FolderReader
from geneb_jax.task.hub import HubReader
from geneb_jax.task.info import TaskInfo

BAD = [
    "../victim",
    "/victim",
    "a/../../victim",
    "..",
    "C:victim",
    "a\\victim",
    "a\0b",
    "x" * 300,
    "NUL",
    "a.",
    ".. ",
    "a /b",
    "...",
    "a//b",
    "",
    "\ud800",
]
DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(DataError) as caught:
        confined(tmp_path, name)
    str(caught.value).encode()  # can be printed


@pytest.mark.parametrize("name", ["a", "a/b.csv", "..a", ".hidden", "H3K4me3:1 (new)", "é", "conus", "x" * 255])
def test_an_odd_name_that_stays_inside_is_taken(tmp_path, name):
    assert confined(tmp_path, name) == tmp_path / name
    assert why_not(name) is None


def test_a_link_out_is_refused_for_writing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link"):
        confined(tmp_path / "in", "link/victim")
    assert confined(tmp_path / "in", "link/victim", links=True).parent.name == "link"


@pytest.fixture
def store(tmp_path):
    """A store whose encoder and task are called after places outside."""
    path = tmp_path / "from" / "store"
    path.parent.mkdir()
    with open_store(path, "a") as opened:
        element = opened.element(Manifest("../../victim", "toy", "..", 2), commit_rows=4)
        element.append(["A", "C", "G", "T"], np.eye(4, 2, dtype=np.float32))
        for split in ("train", "test"):
            element.write_split(
                SplitIndex("../../victim", split, np.arange(4), np.arange(4) % 2, split, suite_name="s")
            )
    return path


@pytest.fixture
def web(tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=tmp_path / "from")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def outside(tmp_path: Path) -> list[str]:
    return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*victim*") if "from" not in p.parts[:-1])


@pytest.mark.parametrize("name", ["../../victim", "..", "/victim", "a/../../victim"])
def test_a_store_at_an_address_whose_listing_leads_out(tmp_path, store, web, name):
    pytest.importorskip("aiohttp")
    copy_store(store, tmp_path / "from" / "copy")
    shutil.copytree(store / open_store(store).keys()[0], tmp_path / "from" / "victim")
    listing = tmp_path / "from" / "copy" / "contents.json"
    record = json.loads(listing.read_text())
    record["folders"][""].append(name)
    listing.write_text(json.dumps(record))
    (tmp_path / "out").mkdir()
    for door in (
        lambda: copy_store(f"{web}/copy", tmp_path / "out" / "deep" / "copy"),
        lambda: merge([f"{web}/copy"], tmp_path / "out" / "deep" / "merged"),
        lambda: open_store(f"{web}/copy").verify(),
        lambda: probe([f"{web}/copy"], None, tmp_path / "out" / "deep" / "run", engine="sklearn", progress=False),
    ):
        with pytest.raises(StoreError, match="names a folder that"):
            door()
    assert not list((tmp_path / "out").rglob("*victim*"))


def test_a_copy_does_not_write_through_a_link_nor_into_a_strange_folder(tmp_path, store):
    target = tmp_path / "to"
    target.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (target / open_store(store).keys()[0]).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"no file of the store"):
        copy_store(store, target)
    assert not list((tmp_path / "elsewhere").iterdir())
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"thesis\.txt"):
        copy_store(store, other)
    assert [p.name for p in other.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("link", [".", "splits", "embeddings/c", "embeddings/writer.json", "embeddings/c/9"])
def test_nothing_is_written_through_a_link_in_a_store(tmp_path, link):
    """An element's folder, one inside it or a file of it that somebody linked to a place of the user's."""
    fill = np.eye(4, 2, dtype=np.float32)
    with open_store(tmp_path / "from", "a") as other:
        other.element(Manifest("toy", "toy", "1", 2)).append(["A", "C", "G", "T"], fill)
    key = other.keys()[0]
    shutil.copytree(tmp_path / "from", tmp_path / "store")
    path, elsewhere = tmp_path / "store" / key / link, tmp_path / "elsewhere"
    if path.is_dir():
        shutil.move(path, elsewhere)
    elif link.endswith("json"):
        path.unlink(missing_ok=True)
        elsewhere.write_text("mine")
    path.symlink_to(elsewhere)
    before = [(p, p.is_dir() or p.read_bytes()) for p in sorted(elsewhere.rglob("*"))] or elsewhere.exists()
    with open_store(tmp_path / "more", "a") as more:
        more.element(Manifest("toy", "toy", "1", 2)).append(["AA"], fill[:1])
    for door in (
        lambda: merge([tmp_path / "more"], tmp_path / "store"),
        lambda: open_store(tmp_path / "store", "a").element(Manifest("toy", "toy", "1", 2)),
        lambda: repair_store(tmp_path / "store"),
    ):
        with pytest.raises(StoreError, match="link to a place outside"):
            door()
    after = [(p, p.is_dir() or p.read_bytes()) for p in sorted(elsewhere.rglob("*"))] or elsewhere.exists()
    assert after == before
    assert not elsewhere.is_file() or elsewhere.read_text() == "mine"


def test_a_store_itself_may_be_reached_through_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    with open_store(tmp_path / "store", "a") as opened:
        opened.element(Manifest("toy", "toy", "1", 2)).append(["A"], np.eye(1, 2, dtype=np.float32))
    assert repair_store(tmp_path / "store") == []
    assert open_store(tmp_path / "disk").elements()[0].num_rows == 1


def test_doors_of_stores(tmp_path, store):
    element = open_store(store).elements()[0]
    (tmp_path / "deep").mkdir()
    merge([store], tmp_path / "deep" / "merged")
    for ending in ("safetensors", "parquet"):
        export_element(element, ending, tmp_path / "deep" / f"x.{ending}")
        import_file(tmp_path / "deep" / f"x.{ending}", tmp_path / "deep" / f"in-{ending}")
    repair_store(tmp_path / "deep" / "merged")
    assert open_store(tmp_path / "deep" / "merged").verify() == []
    assert {p.name for p in tmp_path.iterdir()} == {"from", "deep"}  # all that was made is named by digests


def test_doors_of_runs(tmp_path, store):
    (tmp_path / "deep").mkdir()
    run = probe([store], None, tmp_path / "deep" / "run", regimes=["full"], engine="sklearn", progress=False)
    assert all("leads out of the folder" in message for message in run.records["message"].to_pylist())
    assert run.records["mcc"].null_count == len(run.records)
    with pytest.raises(RunError, match="leads out of the folder"):
        read_pair(DATA / "run-v1" / "predictions.zarr", "..", "all")
    assert not outside(tmp_path)


def renamed(tmp_path: Path, **names: str) -> Run:
    """A run of somebody else with other names in it."""
    run = Run.open(DATA / "run-v1")
    for column, name in names.items():
        at = run.records.column_names.index(column)
        run.records = run.records.set_column(at, run.records.schema.field(at), [[name] * len(run.records)])
    one = run.records.slice(0, 10)
    run.records = one
    for encoder in run.meta.encoders:
        encoder.name, encoder.revision = names.get("encoder", encoder.name), names.get("encoder", "r")
    return run


@pytest.mark.parametrize("name", ["..", "../../victim", "/victim", "a\\victim"])
def test_doors_of_an_export(tmp_path, name):
    out = tmp_path / "deep" / "out"
    for column in ("encoder", "task"):
        try:
            written = write_mteb(entry_of(renamed(tmp_path, **{column: name})), out)
        except GenebError:
            written = []
        assert all(path.resolve().is_relative_to(out) for path in written)
        assert {p.name for p in tmp_path.iterdir()} <= {"deep"}
        assert {p.name for p in (tmp_path / "deep").iterdir()} <= {"out"} if (tmp_path / "deep").exists() else True


@pytest.mark.parametrize("name", BAD)
def test_doors_of_a_site(tmp_path, name):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / MANIFEST).write_text(
        json.dumps({"geneb_type": "site", "geneb_version": 1, "files": [name], "scripts": ""})
    )
    with pytest.raises(DataError):
        Site.open(tmp_path / "site")


@pytest.mark.parametrize("name", ["../../victim.csv", "a/../../victim.csv", "..", "a\\b.csv"])
def test_doors_of_tasks(tmp_path, name):
    (tmp_path / "s").mkdir()
    toml = tmp_path / "s" / "suite.toml"
    toml.write_text(f"name = 's'\n[[task]]\nid = 't'\ntrain = '{name}'\ntest = 'b.csv'\n")
    with pytest.raises(DataError):
        load_suite(str(toml))
    with pytest.raises(DataError):
        FolderReader(tmp_path, "x").present(TaskInfo(name, "x"))
    with pytest.raises((DataError, MissingDataError)):
        HubReader("a/b", "c").read(TaskInfo("t", "x", hub_path=name))
    toml.write_text(f"name = 's'\n[[task]]\nid = 't'\ntrain = '{tmp_path}/a.csv'\ntest = './b.csv'\n")
    for file in (tmp_path / "a.csv", tmp_path / "s" / "b.csv"):
        file.write_text("text,label\nACGT,0\nACGA,1\n")
    assert len(load_suite(str(toml)).load("t").train) == 2  # a full path is the user's own choice


def test_an_encoder_of_any_name_has_a_key_that_is_a_name():
    for name in BAD:
        info = EncoderInfo(
            name=name.encode("ascii", "replace").decode(), family="f", revision="r", width=1, settings={}
        )
        key = Manifest(info.name, info.family, info.revision, info.width).key
        assert why_not(key) is None
        assert "/" not in key
