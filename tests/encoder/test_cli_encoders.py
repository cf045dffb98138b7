from __future__ import annotations

import json
import subprocess
import sys

import pytest

from geneb_jax.cli.main import main


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
    for form in ("kmer:K", "onehot[:LENGTH]", "random-conv:WIDTH", "hf:FOLDER", "hf:ORG/NAME", "MODULE:CLASS"):
        assert form in out
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
    kinds = json.loads(geneb("--json")[1])
    assert [kind["kind"] for kind in kinds] == ["kmer", "onehot", "random-conv", "hf", "module:Class"]
    record = json.loads(geneb("kmer:3,counts=true", "--json", "--check")[1])
    assert (record["width"], record["settings"]["counts"]) == (64, True)
    assert all(check["passed"] for check in record["checks"])


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
