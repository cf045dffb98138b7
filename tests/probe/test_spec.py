"""Specifications, regimes and statuses: what names an outcome."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.errors import ProbeError, UsageError
from geneb_jax.probes.regime import GENEB_REGIMES, Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status


@given(st.integers(1, 10**6))
def test_regimes_are_read_and_written(shots: int) -> None:
    regime = Regime.parse(f"{shots}shot")
    assert regime.shots == shots
    assert Regime.parse(regime.name) == regime
    assert Regime.parse(f" {shots}-Shots ") == regime


def test_regimes_of_geneb() -> None:
    assert [Regime.parse(name).shots for name in GENEB_REGIMES] == [None, 10, 1]
    assert Regime(None).name == "full"


@pytest.mark.parametrize("text", ["", "0shot", "shot", "-1shot", "10", "fulll", "1.5shot", "01shot"])
def test_other_regimes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no regime called"):
        Regime.parse(text)


@pytest.mark.parametrize(
    "settings",
    [{"C": 0.0}, {"C": -1.0}, {"C": float("nan")}, {"C": float("inf")}, {"max_steps": 0}, {"tolerance": 0.0}],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ProbeError, match=next(iter(settings))):
        LogisticSpec(**settings)  # type: ignore[arg-type]


def test_every_setting_changes_the_digest() -> None:
    base = LogisticSpec()
    other = {
        "C": 2.0, "fit_intercept": False, "standardize": True, "balanced": True, "max_steps": 7, "tolerance": 1e-3,
    }  # fmt: skip
    fields = {field.name for field in dataclasses.fields(LogisticSpec)}
    assert fields <= other.keys(), "a new setting needs a line here"
    digests = {base.digest} | {dataclasses.replace(base, **{name: other[name]}).digest for name in fields}
    assert len(digests) == len(fields) + 1
    assert LogisticSpec().digest == base.digest


@pytest.mark.parametrize("status", list(Status))
def test_every_status_says_what_happened(status: Status) -> None:
    assert len(status.sentence.split()) >= 8
    assert status.sentence.endswith(".")
    assert status.label == status.name.lower()
    assert (status.mark == "") == (status is Status.CONVERGED)
    assert not (status.is_degenerate and not status.has_score)
