from __future__ import annotations

import json
import subprocess
import sys

import pytest

from geneb_jax.cli.main import main
from geneb_jax.encoder.kinds import KINDS
from geneb_jax.encoder.registry import registry


@pytest.fixture
def geneb(capsys, monkeypatch):
    """Run `geneb encoders ...` in this process; returns exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["encoders", *arguments])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


def test_the_listing_names_every_kind_and_fits_the_screen(geneb):
    code, out, _ = geneb()
    assert code == 0
    for form in ("kmer:K", "onehot[:LENGTH]", "random-conv:WIDTH", "hf:FOLDER", "hf:ORG/NAME", "MODEL", "MODULE:CLASS"):
        assert form in out
    assert [e.display for e in registry().values() if e.display not in out] == []
    for fact in ("mamba-ssm", "remote code", "authors' code", "cc-by-nc-sa-4.0", "kuleshov-group/PlantCaduceus_l32"):
        assert fact in out
    assert "pad positions enter the mean" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("kind", ["kmer", "onehot", "random-conv", "hf", "module:Class"])
def test_a_kind_shows_its_options(geneb, kind):
    code, out, _ = geneb(kind)
    _, text, _ = geneb(kind, "--json")
    record = json.loads(text)
    assert code == 0
    assert all(option["name"] in out for option in record["options"])
    assert max(map(len, out.splitlines())) <= 100


def test_json_of_all_kinds_and_of_one_encoder(geneb):
    listed = json.loads(geneb("--json")[1])
    assert [kind["kind"] for kind in listed["kinds"]] == list(KINDS)
    assert [model["model"] for model in listed["models"]] == list(registry())
    record = json.loads(geneb("kmer:3,counts=true", "--json", "--check")[1])
    assert (record["width"], record["settings"]["counts"]) == (64, True)
    assert all(check["passed"] or not check["required"] for check in record["checks"])


def test_filters_list_models_alone(geneb):
    listed = json.loads(geneb("--search", "plant", "--json")[1])
    assert listed["kinds"] == []
    assert [m["display"] for m in listed["models"]] == ["Agro-NT-1B", "PlantCaduceus"]
    found = json.loads(geneb("--architecture", "mamba", "--search", "plant", "--json")[1])["models"]
    assert [m["display"] for m in found] == ["PlantCaduceus"]
    code, out, err = geneb("--search", "no such word")
    assert (code, out) == (3, "")
    assert "no model matches" in err


@pytest.mark.parametrize("entry", registry().values(), ids=lambda e: e.model)
def test_a_card_says_everything_within_the_screen(geneb, entry):
    code, out, _ = geneb(entry.model)
    text = " ".join(out.split())
    assert code == 0
    # addresses and names of files cannot be folded
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 100
    for fact in (f"{entry.params:,}", entry.pretraining, f"{entry.width:,}", entry.hub_revision, entry.licence):
        assert fact is None or fact in text
    assert [d for d in entry.defects if d not in text] == []
    for part in ("normalized", "reference", "as GENEB's own extractor", "geneb embed", "--store"):
        assert part in text
    for part in ("--trust-remote-code", entry.hub_revision) if entry.needs_remote_code else ():
        assert part in text
    record = json.loads(geneb(entry.model, "--json")[1])
    assert (record["hub_id"], record["loads"]) == (entry.hub_id, True)
    assert record["command"] in text.replace("\\ ", "")


def test_a_kind_of_a_model_is_no_name(geneb):
    code, _, err = geneb("hyenadna")
    assert code == 3
    assert "HyenaDNA-Large-1M, HyenaDNA-Medium-160k" in err


def test_an_encoder_shows_its_width_and_identity(geneb):
    code, out, _ = geneb("kmer:6")
    assert code == 0
    assert "4,096" in out
    assert json.loads(geneb("kmer:6", "--json")[1])["digest"] in out


def test_a_failed_check_is_exit_3(geneb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "constant_encoder.py").write_text(
        "class Constant:\n    width = 2\n    def encode(self, sequences): return [[1.0, 2.0]] * len(sequences)\n"
    )
    code, out, _ = geneb("constant_encoder:Constant", "--check")
    assert code == 3
    assert [line.split()[:3] for line in out.splitlines() if "FAILED" in line] == [["not", "constant", "FAILED"]]


@pytest.mark.parametrize(("name", "code", "words"), [("kmr:6", 3, "kmer"), ("kmer:6,count=1", 2, "counts")])
def test_mistakes_name_what_is_near(geneb, name, code, words):
    found, out, err = geneb(name)
    assert (found, out) == (code, "")
    assert f"did you mean {words}" in err


def test_listing_imports_nothing_heavy():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom geneb_jax.cli.encoders import command\n"
        "import geneb_jax.encoder\n"
        "assert CliRunner().invoke(command, ['kmer:4']).exit_code == 0\n"
        "print([m for m in ('torch', 'transformers', 'flax', 'sklearn', 'zarr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
