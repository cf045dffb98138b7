from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from geneb_jax.encoder.families import FAMILIES
from geneb_jax.encoder.load import load_encoder, takes_option
from geneb_jax.encoder.registry import find_model, registry
from geneb_jax.encoder.registry.loading import FAMILY, NEEDS
from geneb_jax.errors import EncoderError, UnknownNameError


def test_the_registry_holds_the_forty_and_splicebert():
    entries = registry().values()
    assert Counter(e.official for e in entries) == {True: 40, False: 1}
    assert sum(e.in_domain and e.official for e in entries) == 36
    assert sum(e.hub_revision is not None for e in entries) == 34
    assert all(len(e.hub_revision) == 40 for e in entries if e.hub_revision)
    assert {e.model for e in entries if e.needs_remote_code and not e.hub_revision} == set()
    assert set(FAMILY) == set(registry())
    assert set(NEEDS) <= set(FAMILY.values())


def test_its_facts_are_the_published_ones(shared_published):
    with (shared_published / "models.csv").open(newline="") as stream:
        published = {row["model"]: row for row in csv.DictReader(stream)}
    with (registry_file()).open(newline="") as stream:
        packaged = {row["model"]: row for row in csv.DictReader(stream)}
    assert list(packaged) == list(published)
    other = {(m, k) for m, row in packaged.items() for k in row if row[k] != published[m][k]}
    assert other == set()


def registry_file():
    from importlib.resources import files

    return files("geneb_jax.published").joinpath("data/models.csv")


@pytest.mark.parametrize("entry", registry().values(), ids=lambda e: e.model)
def test_every_name_of_a_model_finds_it(entry):
    for name in (entry.model, entry.display, entry.hub_id, entry.display.lower(), entry.model.replace("-", "_")):
        assert name is None or find_model(name) is entry


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hyenadna", "HyenaDNA-Large-1M, HyenaDNA-Medium-160k"),
        ("grovr", "did you mean GROVER?"),
        ("org/other-model", "write hf:org/other-model"),
        ("qqqq", "are known"),
    ],
)
def test_an_unclear_name_says_what_to_write(name, words):
    with pytest.raises(UnknownNameError) as caught:
        load_encoder(name)
    assert words in str(caught.value)


def test_which_encoders_take_remote_code():
    found = {s: takes_option(s, "trust_remote_code") for s in ("DNABERT-2", "hf:./x", "kmer:4", "my_module:Mine")}
    assert found == {"DNABERT-2": True, "hf:./x": True, "kmer:4": False, "my_module:Mine": False}


def test_every_family_has_a_rule():
    assert {e.family for e in registry().values()} <= set(FAMILIES)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("DNABERT-2", ["--trust-remote-code", "DNABERT-2,trust_remote_code=true", "/tree/7bce263b"]),
        ("splicebert", ["zenodo.org/records/7995778", "splicebert-1024nt,folder=DIR,allow_pickle=true"]),
        ("DNA-GPT-0.1B-H", ["drive.google.com", "DNA-GPT-0.1B-H,folder=DIR"]),
        ("GROVER,folder=./not-there", ["'./not-there'", "hf download PoetschLab/GROVER --revision 6b223110f0"]),
        ("GROVER", ["check the network", "GROVER,folder=DIR", "hf download PoetschLab/GROVER"]),
        ("DNA-GPT-0.1B-H,allow_pickle=true,folder={}", ["'dna_gpt'", "TencentAILabHealthcare/DNAGPT", "PYTHONPATH"]),
        ("Caduceus-PH-1k,trust_remote_code=true", ["caduceus-ph_seqlen-1k", "folder=DIR"]),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(spec, words, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EncoderError) as caught:
        load_encoder(spec.format(tmp_path))
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_missing_package_says_how_to_install_it(tmp_path):
    """Remote code that imports what is not installed: the error is the registry's, not a traceback."""
    pytest.importorskip("transformers")
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyModel"}})
    )
    (tmp_path / "tokenizer_config.json").write_text("{}")
    save_file({"weight": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "mine.py").write_text("import mamba_ssm\n")
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"Caduceus-PH-1k,trust_remote_code=true,folder={tmp_path}")
    assert "mamba_ssm" in caught.value.what
    assert "mamba-ssm causal-conv1d" in (caught.value.cure or "")


def test_code_of_the_authors_is_asked_for_by_its_address(tmp_path):
    with pytest.raises(EncoderError, match=r"SPACE needs model.modeling_space") as caught:
        load_encoder(f"SPACE,folder={tmp_path}")
    assert "git clone https://github.com/ZhuJiwei111/SPACE" in (caught.value.cure or "")


def test_names_load_no_framework():
    code = (
        "import sys\nfrom geneb_jax.encoder import load_encoder\nfrom geneb_jax.encoder.load import takes_option\n"
        "takes_option('GROVER', 'folder')\n"
        "print([m for m in ('torch', 'transformers', 'flax', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
