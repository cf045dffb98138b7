"""A local folder that changed after vectors were stored: noticed in the same process and in the next one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.hf_source import digest_folder
from geneb_jax.store import open_store
from tests.encoder import checkpoints
from tests.run.helpers import write_task

RUN = """
import sys
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.task import load_suite
for word in sys.argv[4:] or [""]:
    suite = load_suite(sys.argv[2])
    run = embed_and_probe([sys.argv[1] + word], suite, sys.argv[3], regimes=["full"], engine="sklearn", progress=False)
    print("score", run.reports[0].digest, run.reports[0].embedded_now)
"""


def weights(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file({k: v * 1.5 for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"})


def code(folder):
    file = folder / "modeling_toy.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")


def tokenizer(folder):
    found = json.loads((folder / "tokenizer.json").read_text())
    vocab = found["model"]["vocab"]
    vocab["A"], vocab["C"] = vocab["C"], vocab["A"]
    (folder / "tokenizer.json").write_text(json.dumps(found))


def subfolder(folder):
    (folder / "sub" / "table.npy").write_bytes(b"other")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("m") / "toy"
    made.mkdir()
    checkpoints.toy(made, "AutoModel", "ToyAttention")
    checkpoints.bpe_tokenizer(made)
    (made / "sub").mkdir()
    (made / "sub" / "part.py").write_text("X = 1\n")
    (made / "sub" / "table.npy").write_bytes(b"x")
    return made


def test_subfolders_count_where_code_of_the_folder_can_read_them(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)

    def digest():
        return digest_folder(copy, pickle=False)

    before = digest()
    for name, counts in (
        ("sub/part.py", True), ("sub/table.npy", True), ("sub/deep/x.json", True), ("1_Pooling/config.json", True),
        ("sub/notes.md", False), ("onnx/config.json", False), (".git/x.json", False), ("__pycache__/x.json", False),
    ):  # fmt: skip
        (copy / name).parent.mkdir(exist_ok=True, parents=True)
        (copy / name).write_text("changed")
        assert (digest() != before) == counts, name
        before = digest()
    with open_store(copy / "store", "a"):  # what embedding itself leaves there is no part of the model
        assert digest() == before
    (copy / "sub" / "loop").symlink_to(copy)
    assert digest() == before
    # without code of its own nothing reads a subfolder, and a folder that has none keeps its digest
    config = json.loads((copy / "config.json").read_text())
    del config["auto_map"]
    for path in (copy, tmp_path / "flat"):
        if path != copy:
            shutil.copytree(copy, path, ignore=lambda at, names: [n for n in names if (copy / n).is_dir()])
        (path / "config.json").write_text(json.dumps(config))
    assert digest() == digest_folder(tmp_path / "flat", pickle=False)


@pytest.mark.parametrize("change", [weights, code, tokenizer, subfolder])
def test_a_changed_folder_is_another_encoder_in_the_same_process(folder, tmp_path, change):
    copy = tmp_path / "toy"
    shutil.copytree(folder, copy)
    spec = f"hf:{copy},trust_remote_code=true"
    before = load_encoder(spec).info.digest
    assert load_encoder(spec).info.digest == before
    change(copy)
    assert load_encoder(spec).info.digest != before


def test_a_second_run_fits_anew_after_a_change_and_for_other_settings(folder, tmp_path):
    copy = tmp_path / "toy"
    shutil.copytree(folder, copy)
    write_task(tmp_path / "suite", "a", n=12)

    def run(*words):
        call = [sys.executable, "-c", RUN, f"hf:{copy},trust_remote_code=true", tmp_path / "suite", tmp_path / "run"]
        done = subprocess.run([*map(str, call), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("score")]

    # pooling and layer are encoders of their own, in one process
    first = run("", ",pooling=max", ",layer=1", "")
    assert len({digest for digest, _ in first}) == 3
    assert [int(new) > 0 for _, new in first] == [True, True, True, False]
    weights(copy)
    ((digest, new),) = run("")
    assert digest not in {one for one, _ in first}
    assert int(new) > 0
