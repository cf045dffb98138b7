"""Export and import: the exact way there and back, in files that other programs read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from geneb_jax.cli.store import command
from geneb_jax.errors import StoreError
from geneb_jax.store import SplitIndex, open_store
from geneb_jax.store.exchange import FORMATS, export_element, import_file
from geneb_jax.store.measures import put_measure, read_measures
from geneb_jax.store.sources import ElementSource, content_digest

SUFFIX = {"safetensors": ".safetensors", "parquet": "", "h5ad": ".h5ad"}


@pytest.fixture(params=["float32", "float16", "bfloat16"])
def element(request, tmp_path, toy):
    manifest, sequences, vectors = toy
    vectors[3, 1], vectors[5] = np.nan, -np.inf
    with open_store(tmp_path / "from", "a") as store:
        made = store.element(manifest, commit_rows=8, dtype=request.param)
        made.append(sequences, vectors)
        put_measure(made, "drift", {"largest": 0.25})
        made.write_split(
            SplitIndex("t/ü", "train", np.array([3, 1, 1]), np.array([0, 1, 1]), "d", category="C", warnings=("w",))
        )
        made.write_split(SplitIndex("t/ü", "empty", np.array([], np.int64), np.array([], np.int64), "e"))
    return open_store(tmp_path / "from").elements()[0]


@pytest.mark.parametrize("kind", FORMATS)
def test_there_and_back_is_exact(tmp_path, element, kind, bytes_of):
    out = tmp_path / f"file{SUFFIX[kind]}"
    content = export_element(element, kind, out)
    assert content == content_digest(ElementSource(element))
    done = import_file(out, tmp_path / "to")
    assert (done.added, done.splits) == (40, 2)
    back = open_store(tmp_path / "to").open(element.key)
    assert back.manifest == element.manifest
    assert read_measures(back) == {"drift": {"largest": 0.25}}
    assert back.dtype == element.dtype
    assert content_digest(ElementSource(back)) == content
    # the rows keep their order, so only the cut into commits can differ
    assert back.stored(0, 40).tobytes() == element.stored(0, 40).tobytes()
    index = back.split("t/ü", "train")
    assert (index.rows.tolist(), index.labels.tolist(), index.warnings) == ([3, 1, 1], [0, 1, 1], ("w",))
    assert back.verify() == []
    before = bytes_of(tmp_path / "to")
    assert import_file(out, tmp_path / "to").added == 0
    assert bytes_of(tmp_path / "to") == before
    with pytest.raises(StoreError, match="something at this path already"):
        export_element(element, kind, out)
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_other_programs_read_the_files(tmp_path, element):
    vectors = element.read()
    export_element(element, "safetensors", tmp_path / "x.safetensors")
    from safetensors.torch import load_file

    found = load_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(found["embeddings"].float().numpy(), vectors)
    assert str(found["embeddings"].dtype) == f"torch.{element.dtype}"
    np.testing.assert_array_equal(found["split-1/rows"].numpy(), [3, 1, 1])
    export_element(element, "parquet", tmp_path / "x")
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "x" / "embeddings.parquet")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), vectors)
    assert table["digest"][7].as_py() == element.digests()[7].tobytes()
    export_element(element, "h5ad", tmp_path / "x.h5ad")
    import anndata

    data = anndata.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(data.X, vectors)
    assert data.obs_names[7] == element.digests()[7].tobytes().hex()
    assert json.loads(data.uns["geneb"])["manifest"]["name"] == element.manifest.name


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_file_is_refused_and_nothing_is_imported(tmp_path, toy, fill_store, kind):
    fill_store(tmp_path / "from")
    out = tmp_path / f"file{SUFFIX[kind]}"
    export_element(open_store(tmp_path / "from").elements()[0], kind, out)
    file = out / "embeddings.parquet" if kind == "parquet" else out
    whole = file.read_bytes()
    at = whole.index(toy[2][20:22].tobytes())  # in the middle of the vectors
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(StoreError, match=r"is not what was exported|cannot be read to its end"):
        import_file(out, tmp_path / "to")
    file.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(StoreError, match="damaged"):
        import_file(out, tmp_path / "to")
    file.write_bytes(b"something else entirely")
    with pytest.raises(StoreError, match="no file that `geneb store export` wrote"):
        import_file(out, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_the_commands(tmp_path, store_path):
    run = CliRunner()
    out = str(tmp_path / "x.safetensors")
    done = run.invoke(command, ["export", str(store_path), "--format", "safetensors", "--out", out])
    assert "content digest" in done.output, done.output
    done = run.invoke(command, ["import", out, "--into", str(tmp_path / "to"), "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["elements"][0]["new sequences"] == 40
    assert done.return_value == 0
