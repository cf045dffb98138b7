"""Families whose model an author's package makes: what is said without it, and the rule once it is importable."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import torch

from geneb_jax.encoder import load_encoder
from geneb_jax.errors import EncoderError
from tests.encoder.author_packages import net, write
from tests.encoder.checkpoints import bpe_ids

MODEL = {
    "dnagpt": "dna_gpt0.1b_h", "janusdna": "JanusDNA_72_w", "eccdnamamba": "eccDNAMamba", "genomics-fm": "genomics-fm",
    "biofm": "BioFM-265M",
}  # fmt: skip
RNG = np.random.default_rng(5)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), n)) for n in (12, 36, 7, 25, 100, 31)]
SEQUENCES[1] = SEQUENCES[1][:9] + "N" + SEQUENCES[1][10:]


@pytest.fixture
def package(request, tmp_path, monkeypatch):
    """The folder of weights; the package is importable for this test alone."""
    code, weights = write(request.param, tmp_path)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(code))
    yield request.param, weights
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(code)):
            del sys.modules[name]


def spell(key, sequence):
    """All ids of a sequence, and how many special tokens stand in front and behind."""
    if key == "dnagpt":
        special = [*map(str, range(10)), *"+-*/=&|!", *"MBPRIKLOQSUVWYXZ"]
        words = ["".join(word) for word in itertools.product("NAGCT", repeat=6)]
        pieces = [sequence[i : i + 6] for i in range(0, len(sequence), 6)]
        ids = [34 + words.index(piece) if len(piece) == 6 else 0 for piece in pieces]
        return [special.index("R"), *ids][:12], 1, 0
    letters = [4 + "ACGTN".index(letter) for letter in sequence]
    if key == "janusdna":
        return letters[:1024], 0, 0
    if key == "biofm":
        return [1, *letters[:38], 2], 1, 1
    return [1, *bpe_ids(sequence), 2], 1, 1


def transcription(key, preset):
    model, rows = net(key), []
    spelled = [spell(key, sequence) for sequence in SEQUENCES]
    with torch.no_grad():
        if preset == "normalized":
            for ids, front, behind in spelled:
                hidden = model(torch.tensor([ids]))[0].numpy()
                rows.append(hidden[front : len(ids) - behind].mean(0))
        elif key == "genomics-fm":
            rows = [model(torch.tensor([ids]))[0, 0].numpy() for ids, _, _ in spelled]
        elif key == "dnagpt":
            rows = [model(torch.tensor([ids]))[0].numpy().mean(0) for ids, _, _ in spelled]
        elif key == "janusdna":
            for ids, _, _ in spelled:
                rows.append(model(torch.tensor([ids + [0] * (1024 - len(ids))]))[0, : len(ids)].numpy().mean(0))
        else:
            model = model.bfloat16() if key == "biofm" else model
            for start in range(0, len(spelled), 4):
                batch = [ids for ids, _, _ in spelled[start : start + 4]]
                longest = max(map(len, batch))
                hidden = model(torch.tensor([[0] * (longest - len(ids)) + ids for ids in batch])).float().numpy()
                for state, ids in zip(hidden, batch, strict=True):
                    wrong_row = state[len(ids) - 2]
                    rows.append(wrong_row if key == "biofm" else state[longest - len(ids) :].mean(0))
    return np.array(rows)


@pytest.mark.parametrize("preset", ["normalized", "reference"])
@pytest.mark.parametrize("package", MODEL, indirect=True)
def test_the_rule_takes_over_when_the_package_is_there(package, preset):
    key, weights = package
    encoder = load_encoder(MODEL[key], folder=str(weights), device="cpu", preset=preset)
    found, expected = encoder.encode(SEQUENCES), transcription(key, preset)
    assert (np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max() < 1e-5
    assert encoder.info.settings["dtype"] == ("bfloat16" if (key, preset) == ("biofm", "reference") else "float32")


@pytest.mark.parametrize("key", MODEL)
def test_without_the_package_the_message_says_where_it_is(key, tmp_path):
    with pytest.raises(EncoderError, match=r"no module .(.|\n)*https://github\.com/"):
        load_encoder(MODEL[key], folder=str(tmp_path))


@pytest.mark.parametrize("package", ["dnagpt"], indirect=True)
def test_weights_of_a_package_are_checked_as_others_are(package, tmp_path):
    from safetensors.torch import load_file, save_file

    _, weights = package
    state = load_file(weights / "model.safetensors")
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    save_file({k: v for k, v in state.items() if "mix" not in k}, lacking / "model.safetensors")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    torch.save({"model": state}, pickled / "model.pth")
    for folder, words in [
        (tmp_path / "absent", "no folder"),
        (tmp_path, "0 files of weights"),
        (lacking, r"2 weights of DNAGPT.*net\.mix"),
        (pickled, "allow_pickle=true"),
    ]:
        with pytest.raises(EncoderError, match=words):
            load_encoder("dna_gpt0.1b_h", folder=str(folder))
    found = load_encoder("dna_gpt0.1b_h", folder=str(pickled), allow_pickle=True).encode(SEQUENCES)
    expected = load_encoder("dna_gpt0.1b_h", folder=str(weights)).encode(SEQUENCES)
    np.testing.assert_array_equal(found, expected)
