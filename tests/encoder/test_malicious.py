"""Folders and hub names that ask for more than weights: each is refused by name, and nothing of them runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import pytest
import torch

from geneb_jax.encoder import load_encoder
from geneb_jax.errors import EncoderError
from tests.encoder.checkpoints import build

OPENERS = {
    "hf": lambda folder, **options: load_encoder(f"hf:{folder}", **options),
    "registry": lambda folder, **options: load_encoder("GROVER", folder=str(folder), **options),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return build("grover", tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "m")


@pytest.fixture(params=OPENERS)
def opened(request):
    """Loading by ``hf:`` and by a registry name, which share the files but not the code around them."""
    return OPENERS[request.param]


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_sound_folder_is_read(sound, opened):
    assert opened(sound).encode(["ACGT"]).shape == (1, 16)


def test_pickled_weights_are_refused_and_never_run(folder, opened, tmp_path):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Payload(tmp_path / "ran")}, protocol=2))
    with pytest.raises(EncoderError, match="allow_pickle=true"):
        opened(folder)
    with pytest.raises(EncoderError):  # opted in: torch's restricted unpickler still builds tensors alone
        opened(folder, allow_pickle=True)
    torch.save({"weight": Payload(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError):
        opened(folder, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_remote_code_is_refused_and_not_imported(folder, opened, tmp_path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    edit(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    with pytest.raises(EncoderError, match="trust_remote_code=true"):
        opened(folder)
    assert not (tmp_path / "ran").exists()


def test_a_stray_remote_tokenizer_is_left_alone(folder, opened, tmp_path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    edit(folder / "tokenizer_config.json", tokenizer_class="T", auto_map={"AutoTokenizer": ["evil.T", None]})
    opened(folder)  # tokenizer.json says all that transformers' own class needs
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("other/repository--modeling.Model", "code of another repository"),
        ("../../evil.Model", "no Python file of this folder"),
        ("os.system", "no Python file of this folder"),
        ("modeling", "no Python file of this folder"),
    ],
)
def test_trust_is_in_this_folder_alone(folder, reference, words):
    (folder.parent / "evil.py").write_text("raise SystemExit('ran')")
    edit(folder / "config.json", auto_map={"AutoModel": reference})
    with pytest.raises(EncoderError, match=words):
        OPENERS["hf"](folder, trust_remote_code=True)
    OPENERS["registry"](folder, trust_remote_code=True)  # a model of transformers' own code: none else is run


@pytest.mark.parametrize("spec", ["hf:org/name", "hf:org/name@main", "DNABERT-2,revision=main"])
def test_remote_code_runs_at_a_commit_only(spec):
    with pytest.raises(EncoderError, match="other code could be run next time"):
        load_encoder(f"{spec},trust_remote_code=true")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/secret.safetensors", "a/../../x.safetensors", "", 3])
def test_an_index_names_files_beside_it_only(folder, opened, name):
    (folder.parent / "secret.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    index = {"metadata": {}, "weight_map": {"weight": "model.safetensors", "other": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderError, match="not a file of this folder"):
        opened(folder)


def test_a_missing_part_is_named(folder, opened):
    index = {"weight_map": {"weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderError, match=r"model-00002-of-00002\.safetensors, a part of the weights, is missing"):
        opened(folder)


def as_file(header, length=None, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (as_file({}, length=10_000_000_000), "claims 10,000,000,000 bytes"),
        (as_file({}, length=2**64 - 1), "claims 18,446,744,073,709,551,615 bytes"),
        (b"abc", "the file has 3"),
        (as_file(b"not json"), "not JSON"),
        (as_file([]), "not a table"),
        (as_file({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, body=b"1234"), "past the file's end"),
        (as_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, body=b"1234"), "past the file's end"),
        (as_file({"w": {"dtype": "F32", "shape": [1]}}), "does not say where 'w' lies"),
    ],
)
def test_a_header_says_no_more_than_the_file_holds(folder, opened, content, words):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(EncoderError, match=words):
        opened(folder)


def test_kernels_of_the_hub_are_not_fetched(folder, opened):
    edit(folder / "config.json", attn_implementation="someone/kernel")
    with pytest.raises(EncoderError, match="someone/kernel"):
        opened(folder)
