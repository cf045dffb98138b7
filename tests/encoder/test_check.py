"""Each check fails for the encoder that has its defect, and for no other reason."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.encoder import EncoderInfo, check_encoder, load_encoder
from geneb_jax.errors import EncoderError, UsageError

SEQUENCES = ["ACGT" * n + "GGA" * (n % 3) for n in range(2, 9)]


class Sound:
    info = EncoderInfo("sound", "test", "1", 4)

    def encode(self, sequences):
        return np.array([[s.count(b) for b in "ACGT"] for s in sequences], dtype=np.float32)


class TooWide(Sound):
    def encode(self, sequences):
        return np.ones((len(sequences), 5), dtype=np.float32)


class Doubles(Sound):
    def encode(self, sequences):
        return super().encode(sequences).astype(np.float64)


class NotFinite(Sound):
    def encode(self, sequences):
        out = super().encode(sequences)
        out[0, 0] = np.nan
        return out


class Constant(Sound):
    def encode(self, sequences):
        return np.ones((len(sequences), 4), dtype=np.float32)


class Noisy(Sound):
    rng = np.random.default_rng(0)

    def encode(self, sequences):
        out = super().encode(sequences)
        return out + self.rng.normal(scale=1e-3, size=out.shape).astype(np.float32)


class Drifting(Sound):
    """Keeps the share of N that it has met, a little at a time."""

    met = 0

    def encode(self, sequences):
        out = super().encode(sequences) * np.float32(1 + 1e-5 * self.met)
        self.met += sum(s.count("N") for s in sequences)
        return out


class BatchCentred(Sound):
    def encode(self, sequences):
        out = super().encode(sequences)
        return out - out.mean(axis=0)


class PaddingCounted(Sound):
    """Divides by the longest sequence of the call, as a mean over padded positions does."""

    def encode(self, sequences):
        return super().encode(sequences) / np.float32(max(map(len, sequences)))


class Sorted(Sound):
    def encode(self, sequences):
        return super().encode(sorted(sequences, key=len))


class FirstRowOnly(Sound):
    def encode(self, sequences):
        return np.repeat(super().encode(sequences[:1]), len(sequences), axis=0)


@pytest.mark.parametrize(
    ("encoder", "failing"),
    [
        (TooWide, {"width"}),
        (Doubles, {"dtype"}),
        (NotFinite, {"finite", "not constant", "deterministic", "alone", "order", "longer", "N", "history"}),
        (Constant, {"not constant"}),
        (Noisy, {"deterministic", "alone", "order", "longer", "history"}),
        (Drifting, {"history"}),
        (BatchCentred, {"alone", "longer"}),
        (PaddingCounted, {"alone", "longer"}),
        (Sorted, {"order", "longer"}),
        (FirstRowOnly, {"not constant", "alone", "order", "longer"}),
    ],
)
def test_a_defect_fails_its_checks(encoder, failing):
    report = check_encoder(encoder(), SEQUENCES)
    assert {check.name for check in report.failed} == failing
    assert not report.passed
    with pytest.raises(EncoderError) as caught:
        report.raise_if_failed()
    for check in report.failed:
        assert check.name in str(caught.value)
        assert check.measured in str(caught.value)


def test_a_sound_encoder_passes():
    report = check_encoder(Sound(), SEQUENCES)
    report.raise_if_failed()
    assert [check.name for check in report.checks] == [
        "width", "dtype", "finite", "not constant", "deterministic", "alone", "order", "longer",
        "N", "lower case", "strand", "history",
    ]  # fmt: skip
    assert [check.name for check in report.checks if not check.required] == ["lower case", "strand"]
    assert report.summary().startswith("10 checks passed; lower case: relative difference 1.0e+00; strand: ")


def test_half_precision_is_held_to_its_own_bound():
    class Coarse(Sound):
        info = EncoderInfo("coarse", "test", "1", 4, {"dtype": "bfloat16"})

        def encode(self, sequences):
            return super().encode(sequences) * np.float32(1 + 0.01 * len(sequences) / 8)

    report = check_encoder(Coarse(), SEQUENCES)
    assert report.passed
    Coarse.info = EncoderInfo("coarse", "test", "1", 4, {"dtype": "float32"})
    assert {c.name for c in check_encoder(Coarse(), SEQUENCES).failed} == {"alone", "longer"}


def test_one_sequence_is_no_evidence():
    with pytest.raises(UsageError, match="two different sequences"):
        check_encoder(Sound(), ["ACGT", "ACGT"])


def test_a_promise_is_held_to():
    class Promising(Sound):
        promises = ("lower case", "strand")

    assert {c.name for c in check_encoder(Promising(), SEQUENCES).failed} == {"lower case", "strand"}
    for spec in ("kmer:3,canonical=true", "kmer:3", "onehot:20", "random-conv:8"):
        check_encoder(load_encoder(spec), SEQUENCES).raise_if_failed()


def test_a_sequence_with_n_needs_a_vector():
    class Strict(Sound):
        def encode(self, sequences):
            if any(set(s) - set("ACGT") for s in sequences):
                raise KeyError("N")
            return super().encode(sequences)

    report = check_encoder(Strict(), SEQUENCES)
    assert {c.name for c in report.failed} == {"N"}
    assert "refused: KeyError" in report.failed[0].measured


@pytest.mark.parametrize(
    ("encoder", "preset", "defect", "passes"),
    [
        (PaddingCounted, "reference", "padding is counted", True),
        (PaddingCounted, "reference", None, False),
        (PaddingCounted, "normalized", "padding is counted", False),
        (NotFinite, "reference", "padding is counted", False),
        (Noisy, "reference", "padding is counted", False),
    ],
)
def test_a_reference_preset_runs_with_its_defect_named(encoder, preset, defect, passes):
    class Preset(encoder):
        info = EncoderInfo("preset", "test", "1", 4, {"preset": preset, "defect": defect})

    report = check_encoder(Preset(), SEQUENCES)
    assert report.passed == (report.error is None) == passes
    if passes:
        assert "not alone, longer, as recorded: padding is counted" in report.summary()
    elif defect is None:
        assert "name the defect" in report.error.cure
