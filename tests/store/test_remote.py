"""Stores at addresses: copied there once, read like a local one, never written to."""

from __future__ import annotations

import functools
import http.server
import threading
import uuid

import numpy as np
import pytest
from click.testing import CliRunner

from geneb_jax.cli.store import command
from geneb_jax.errors import StoreError
from geneb_jax.store import open_store
from geneb_jax.store.copying import copy_store
from geneb_jax.store.merge import merge
from geneb_jax.store.places import Remote


@pytest.fixture(scope="session")
def bucket():
    """A bucket on a real S3 server on this machine."""
    server_module = pytest.importorskip("moto.server", reason="needs moto[s3] and flask")
    pytest.importorskip("s3fs", reason="needs s3fs")
    import boto3

    server = server_module.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="vectors")
        yield "s3://vectors"
    server.stop()


@pytest.fixture
def web(tmp_path):
    """A folder served over http by a server that lists nothing, as most do."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

        def list_directory(self, path):
            self.send_error(404)

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["memory", "s3", "http"])
def address(request, tmp_path, store_path):
    """A copy of the toy store at an address."""
    if request.param == "http":
        copy_store(store_path, tmp_path / "served" / "toy.zarr")
        return f"{request.getfixturevalue('web')}/served/toy.zarr"
    name = uuid.uuid4().hex
    place = f"memory://{name}/toy.zarr" if request.param == "memory" else f"{request.getfixturevalue('bucket')}/{name}"
    copy_store(store_path, place)
    return place


def test_an_address_is_read_like_a_folder(tmp_path, address, toy, store_path, bytes_of):
    manifest, sequences, vectors = toy
    store = open_store(address)
    assert store.keys() == open_store(store_path).keys()
    assert store.verify() == []
    element = store.element(manifest)
    np.testing.assert_array_equal(element.read(element.lookup(sequences[::-1])), vectors[::-1])
    np.testing.assert_array_equal(element.read([3, 17, 17]), vectors[[3, 17, 17]])
    assert element.split("a_task", "train").labels.tolist() == [0, 1, 1, 0]
    assert str(element.path).startswith(address)
    # and brought home again, by way of a command
    merged = CliRunner().invoke(command, ["merge", address, "--into", str(tmp_path / "home")], standalone_mode=False)
    assert merged.return_value == 0, merged.output
    merge([store_path], tmp_path / "home2")
    assert bytes_of(tmp_path / "home") == bytes_of(tmp_path / "home2")


def test_an_address_is_never_written_to(address, store_path):
    with pytest.raises(StoreError, match="an address gives no lock that keeps a second writer out"):
        open_store(address, "a")
    with pytest.raises(StoreError, match=r"there is a store at this place already|can only be read"):
        copy_store(store_path, address)


def test_nothing_there_and_no_answer(bucket, web):
    for place in (f"{bucket}/none", f"{web}/none", "memory://nowhere/none"):
        with pytest.raises(StoreError, match="no Zarr group here"):
            open_store(place)
    with pytest.raises(StoreError, match="does not answer"):
        open_store("http://127.0.0.1:9/store.zarr")
    with pytest.raises(StoreError, match="by the protocol 'ftp'"):
        open_store("ftp://host/store.zarr")


def test_damage_at_an_address_is_refused_and_named(store_path, toy):
    import fsspec

    place = f"memory://{uuid.uuid4().hex}/x"
    copy_store(store_path, place)
    memory = fsspec.filesystem("memory")
    chunk = f"{place.removeprefix('memory:/')}/{toy[0].key}/embeddings/c/1/0"
    data = bytearray(memory.cat_file(chunk))
    data[70] ^= 1
    memory.pipe_file(chunk, bytes(data))
    memory.rm_file(chunk.replace("/1/0", "/3/0"))
    faults = open_store(place).verify()
    assert [(f.key, "missing" in f.what) for f in faults] == [
        (f"{toy[0].key}/embeddings/c/1/0", False),
        (f"{toy[0].key}/embeddings/c/3/0", True),
    ]


def test_a_copy_in_a_folder_is_a_store_like_any_other(tmp_path, store_path, toy, bytes_of):
    copy_store(store_path, tmp_path / "copy")
    copied = bytes_of(tmp_path / "copy")
    assert copied.pop("contents.json")
    assert copied == bytes_of(store_path)
    with open_store(tmp_path / "copy", "a") as store:
        store.element(toy[0]).append(["GG"], toy[2][:1])
    assert "contents.json" not in bytes_of(tmp_path / "copy")  # it would not name what is written from now on


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_an_interrupted_copy_to_an_address_is_no_store_and_is_gone_on_from(request, monkeypatch, store_path, kind):
    import fsspec

    def place() -> str:
        name = uuid.uuid4().hex
        return f"memory://{name}/x" if kind == "memory" else f"{request.getfixturevalue('bucket')}/{name}"

    def held(at: str) -> dict[str, bytes]:
        fs, root = fsspec.core.url_to_fs(at)
        return {str(name).split(root.strip("/"), 1)[1]: bytes(fs.cat_file(name)) for name in fs.find(root)}

    whole = place()
    files, _ = copy_store(store_path, whole)
    write = Remote.write_bytes
    for allowed in (0, 1, files // 2, files - 1, files):
        target, left = place(), [allowed]

        def stops(self: Remote, data: bytes, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(self, data)

        monkeypatch.setattr(Remote, "write_bytes", stops)
        with pytest.raises(KeyboardInterrupt):
            copy_store(store_path, target)
        monkeypatch.setattr(Remote, "write_bytes", write)
        with pytest.raises(StoreError, match="no Zarr group here"):
            open_store(target)
        copy_store(store_path, target)
        assert held(target) == held(whole)
        assert open_store(target).verify() == []
