"""SpliceAI's layout and DeePaC as Flax modules: the original frameworks' numbers, and what is refused."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from geneb_jax.encoder import check_encoder, load_encoder
from geneb_jax.errors import EncoderError, UsageError
from tests.encoder import keras_files
from tests.encoder.openspliceai_encoder import Network, OpenSpliceAI

RNG = np.random.default_rng(5)
BASES = list("ACGT")
SHORT = ["".join(RNG.choice(BASES, n)) for n in (1, 33, 60)]
MIXED = [*SHORT, "".join(RNG.choice([*BASES, "N"], 120))]
# exon 1, intron 1, exon 2 and the beginning of intron 2 of HBB (human reference genome, public domain)
HBB = (
    "ACATTTGCTTCTGACACAACTGTGTTCACTAGCAACCTCAAACAGACACCATGGTGCATCTGACTCCTGAGGAGAAGTCTGCCGTTACTGCCCTGTGGGGCAAGGTGAACGTGGATGA"
    "AGTTGGTGGTGAGGCCCTGGGCAG",
    "GTTGGTATCAAGGTTACAAGACAGGTTTAAGGAGACCAATAGAAACTGGGCATGTGGAGACAGAGAAGACTCTTGGGTTTCTGATAGGCACTGACTCTCTCTGCCTATTGGTCTATTT"
    "TCCCACCCTTAG",
    "GCTGCTGGTGGTCTACCCTTGGACCCAGAGGTTCTTTGAGTCCTTTGGGGATCTGTCCACTCCTGATGCTGTTATGGGCAACCCTAAGGTGAAGGCTCATGGCAAGAAAGTGCTCGGT"
    "GCCTTTAGTGATGGCCTGGCTCACCTGGACAACCTCAAGGGCACCTTTGCCACACTGAGTGAGCTGCACTGTGACAAGCTGCACGTGGATCCTGAGAACTTCAGG",
    "GTGAGTCTATGGGACGCTTGATGTTTTCTTTCCCCTTCTTTTCTATGGTTAAGTTCATGTCATAGGAAGGGGATAAGTAACAGGGTACAGTTTAGAATGGGAAACAGACGAATGATTG",
)


def relative(a, b):
    return float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())


def complement(sequence):
    return sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def installed(package, file):
    found = find_spec(package)
    if found is None:
        pytest.skip(f"needs the weights of the package {package}: pip install --no-deps {package}")
    return Path(found.submodule_search_locations[0]) / file


def random_openspliceai(folder, num_stages):
    torch.manual_seed(num_stages)
    network = Network(num_stages)
    for name, value in network.state_dict().items():
        if name.endswith("running_var") or ("batchnorm" in name and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.3)
    path = folder / f"model_{network.context}nt_rs10.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory):
    return random_openspliceai(tmp_path_factory.mktemp("random"), 2)


@pytest.fixture(scope="module")
def encoder(two_stages):
    return load_encoder(f"openspliceai:{two_stages}")


def test_openspliceai_with_random_weights_is_the_torch_network(two_stages, encoder):
    original = OpenSpliceAI(str(two_stages))
    assert encoder.info.settings["context"] == original.network.context == 400
    assert relative(encoder.encode(MIXED), original.encode(MIXED)) < 1e-5
    for sequence, one in zip(SHORT, encoder.probabilities(SHORT), strict=True):
        np.testing.assert_allclose(one, original.probabilities([sequence])[0].T, atol=1e-5)
    top = load_encoder(f"openspliceai:{two_stages},pooling=max")
    expected = [original.states([sequence])[0].amax(dim=1).numpy() for sequence in SHORT]
    assert relative(top.encode(SHORT), np.array(expected)) < 1e-5


@pytest.mark.parametrize(("context", "sequences"), [(80, MIXED), (10_000, SHORT)])
def test_openspliceai_with_the_published_weights_is_the_torch_network(shared_models, context, sequences):
    folder = shared_models / "openspliceai-mane"
    encoder = load_encoder(f"openspliceai:{folder},context={context}")
    original = OpenSpliceAI(str(folder / f"model_{context}nt_rs10.pt"))
    assert encoder.info.settings["context"] == original.network.context == context
    assert relative(encoder.encode(sequences), original.encode(sequences)) < 1e-5


def test_openspliceai_finds_the_splice_sites_of_hbb(shared_models):
    encoder = load_encoder(f"openspliceai:{shared_models / 'openspliceai-mane'},context=400")
    found = encoder.probabilities(["".join(HBB)])[0]
    exon, intron, second = (len(part) for part in HBB[:3])
    donors, acceptors = (exon - 1, exon + intron + second - 1), (exon + intron,)
    assert set(np.flatnonzero(found[:, 1] > 0.25)) == set(acceptors)
    assert set(np.flatnonzero(found[:, 2] > 0.25)) == set(donors)


def test_a_vector_is_the_same_alone_and_among_any_others(encoder):
    check_encoder(encoder, SHORT).raise_if_failed()
    alone = np.concatenate([encoder.encode([s]) for s in MIXED])
    np.testing.assert_array_equal(encoder.encode(MIXED[::-1])[::-1], alone)
    other = [s.lower().replace("t", "u").replace("n", "r") for s in MIXED]
    np.testing.assert_array_equal(encoder.encode(other), alone)
    assert encoder.encode([]).shape == (0, 32)
    np.testing.assert_array_equal(encoder.encode(["", MIXED[0]]), [np.zeros(32), alone[0]])


def test_mixed_lengths_compile_one_program_for_each_bucket(two_stages):
    encoder = load_encoder(f"openspliceai:{two_stages}")
    encoder.encode(["A" * n for n in range(1, 64, 5)])
    encoder.encode(["A" * 64] * 300)
    assert encoder._pooled._cache_size() == 1


def test_spliceai_files_are_read_as_keras_reads_them(tmp_path):
    path = tmp_path / "random.h5"
    keras_files.write_splice(path, ((11, 1), (11, 4)))
    encoder = load_encoder(f"spliceai:{path}")
    assert encoder.info.settings["context"] == 400
    compare_spliceai(encoder, path, SHORT)


def compare_spliceai(encoder, path, sequences):
    crop, last, half = keras_files.crop_and_classes(path)
    for sequence, found in zip(sequences, encoder.probabilities(sequences), strict=True):
        x = np.pad(keras_files.one_hot(sequence), ((half, half), (0, 0)))
        layers = keras_files.run_graph(path, x, last)
        assert relative(encoder.encode([sequence])[0], layers[crop].mean(axis=0)) < 1e-5
        np.testing.assert_allclose(found, layers[last], atol=1e-5)


def test_spliceai_with_the_published_weights():
    path = installed("spliceai", "models/spliceai1.h5")
    encoder = load_encoder("spliceai")
    assert (encoder.info.name, encoder.info.settings["context"]) == ("spliceai:1", 10_000)
    compare_spliceai(encoder, path, SHORT[2:])
    assert load_encoder("spliceai:all").info.width == 5 * 32


@pytest.fixture(scope="module")
def deepac_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("deepac") / "random.h5"
    keras_files.write_deepac(path)
    return path


def compare_deepac(encoder, path, reads):
    expected, scores = zip(*(keras_files.deepac(path, read) for read in reads), strict=True)
    assert relative(encoder.encode(reads), np.array(expected)) < 1e-5
    np.testing.assert_allclose(encoder.scores(reads), scores, atol=1e-5)


def test_deepac_files_are_read_as_keras_reads_them(deepac_file):
    reads = [*MIXED, "".join(RNG.choice(BASES, 250))]
    compare_deepac(load_encoder(f"deepac:{deepac_file}"), deepac_file, reads)


def test_deepac_with_the_published_weights():
    path = installed("deepacvir", "builtin/weights/nn-vhdb-rapid-cnn.h5")
    encoder = load_encoder("deepac")
    read = "".join(RNG.choice(BASES, 250))
    assert encoder.info.width == 256
    compare_deepac(encoder, path, [MIXED[3], read])
    np.testing.assert_allclose(*encoder.scores([read, complement(read)]), rtol=1e-5)


def test_deepac_gives_both_strands_one_vector(deepac_file):
    reads = ["".join(RNG.choice(BASES, n)) for n in (250, 250, 401, 900)]
    turned = [complement(read) for read in reads]
    whole = load_encoder(f"deepac:{deepac_file},overflow=windows")
    np.testing.assert_allclose(whole.encode(turned), whole.encode(reads), rtol=1e-4, atol=1e-6)
    cut = load_encoder(f"deepac:{deepac_file}")
    np.testing.assert_array_equal(cut.encode(reads), cut.encode([read[:250] for read in reads]))
    assert relative(cut.encode(reads[2:]), whole.encode(reads[2:])) > 1e-3
    with pytest.raises(EncoderError, match="401 bases"):
        load_encoder(f"deepac:{deepac_file},overflow=error").encode(reads)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-weight-file",)


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"initial_conv.weight": Hostile()}, "model.pt")
    with pytest.raises(EncoderError, match="never run"):
        load_encoder("openspliceai:model.pt")
    assert not Path("made-by-a-weight-file").exists()


def test_files_of_another_layout_are_refused(tmp_path, two_stages, deepac_file):
    state = torch.load(two_stages, weights_only=True)
    lacking = {k: v for k, v in state.items() if k != "final_conv.bias"}
    odd = {
        "no final_conv.bias": lacking,
        "also holds extra": {**state, "extra": torch.zeros(2)},
        r"\(31,\), not \(32,\)": {**state, "initial_conv.bias": torch.zeros(31)},
        "0 residual parts": {"a": torch.zeros(1)},
        "no state dict": [1],
    }
    for message, content in odd.items():
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(EncoderError, match=message):
            load_encoder(f"openspliceai:{tmp_path / 'odd.pt'}")
    keras_files.write_splice(tmp_path / "odd.h5", ((11, 2),))
    for spec in (f"spliceai:{tmp_path / 'odd.h5'}", f"deepac:{tmp_path / 'odd.h5'}"):
        with pytest.raises(EncoderError, match="its layers are others"):
            load_encoder(spec)
    (tmp_path / "text.h5").write_text("no numbers")
    with pytest.raises(EncoderError, match="cannot be read"):
        load_encoder(f"deepac:{tmp_path / 'text.h5'}")


def test_an_array_outside_its_file_is_not_read(tmp_path, deepac_file):
    path = tmp_path / "linked.h5"
    path.write_bytes(deepac_file.read_bytes())
    with h5py.File(path, "a") as file:
        del file["dense/dense/bias:0"]
        file["dense/dense/bias:0"] = h5py.ExternalLink(deepac_file, "/dense/dense/bias:0")
    with pytest.raises(EncoderError, match="it has no dense/dense/bias:0"):
        load_encoder(f"deepac:{path}")
    with h5py.File(path, "a") as file:
        del file["dense/dense/bias:0"]
        file.create_dataset("dense/dense/bias:0", shape=(10**9,), dtype=np.float32, chunks=(1000,))
    with pytest.raises(EncoderError, match="not held in the file itself"):
        load_encoder(f"deepac:{path}")


def test_what_is_missing_is_named(tmp_path, two_stages):
    (tmp_path / "model_400nt_rs11.pt").write_bytes(two_stages.read_bytes())
    (tmp_path / "model_80nt_rs10.pt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"(?s)2 weight files.*rs11.*context="):
        load_encoder(f"openspliceai:{tmp_path}")
    assert load_encoder(f"openspliceai:{tmp_path},context=400").info.name == "openspliceai:model_400nt_rs11"
    with pytest.raises(EncoderError, match="cannot be read"):
        load_encoder("openspliceai:nowhere.pt")
    if find_spec("spliceai") is None:
        with pytest.raises(EncoderError, match=r"(?s)not installed.*licence"):
            load_encoder("spliceai")
