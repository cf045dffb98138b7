"""Each check fails for the encoder that has its defect, and for no other reason."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.encoder import EncoderInfo, check_encoder
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
        (NotFinite, {"finite", "not constant", "deterministic", "alone", "order", "longer"}),
        (Constant, {"not constant"}),
        (Noisy, {"deterministic", "alone", "order", "longer"}),
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
    ]  # fmt: skip


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
