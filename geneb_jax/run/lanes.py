"""What a probe command asks for of every (encoder, task) pair: its lanes, and blocks of them that fit memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geneb_jax.errors import UsageError
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import GENEB_SEEDS, Regime, check_key, check_seeds, draw_seeds
from geneb_jax.probes.spec import HeldOutC, ProbeSpec

BLOCK_BYTES = 256 * 2**20
"""Most memory for what a block of lanes brings back: coefficients and predictions."""


@dataclass(frozen=True)
class Asked:
    """One probe as it was asked for: `spec` may leave C to be chosen. `draw` is its seed's place in the list."""

    regime: Regime
    seed: int
    draw: int
    spec: ProbeSpec
    digest: str

    def lane(self, C: float | None = None) -> Lane[Any]:
        """The lane to fit, with the C that was chosen where it was not given."""
        if not isinstance(self.spec, HeldOutC):
            return Lane(self.regime, self.seed, self.spec)
        return Lane(self.regime, self.seed, self.spec.base if C is None else self.spec.with_C(C))


@dataclass(frozen=True)
class Draws:
    """The seeds of the few-shot draws, and those under which the full regime is recorded."""

    seeds: tuple[int, ...]
    full_seeds: tuple[int, ...]


def make_draws(seeds: Sequence[int] | None, draws: int | None, key: int) -> Draws:
    """GENEB's five seeds, or the seeds given, or `draws` of them.

    The full regime does not depend on the seed. It is recorded under each seed by default, as in GENEB's protocol,
    and once where a number of draws is asked for.

    Raises:
        UsageError: both seeds and a number of draws, none at all, a repeated seed, or one that is no seed.
    """
    check_key(key)
    if seeds is not None and draws is not None:
        raise UsageError("seeds and a number of draws were both given", cure="give one of the two")
    if draws is not None:
        found = draw_seeds(draws, key)
        return Draws(found, found[:1])
    listed = tuple(GENEB_SEEDS if seeds is None else seeds)
    _once("seed", listed)
    check_seeds(listed)
    return Draws(listed, listed)


def make_lanes(regimes: Sequence[str], draws: Draws, specs: Sequence[ProbeSpec]) -> list[Asked]:
    """Every probe of a study, probe by probe, regime by regime, draw by draw.

    Raises:
        UsageError: an empty list, or something listed twice.
    """
    parsed = [Regime.parse(text) for text in regimes]
    _once("regime", [regime.name for regime in parsed])
    _once("probe", [_words(spec) for spec in specs] if len(set(specs)) < len(specs) else specs)
    digests = {spec: spec.digest for spec in specs}
    return [
        Asked(regime, seed, draw, spec, digests[spec])
        for spec in specs
        for regime in parsed
        for draw, seed in enumerate(draws.full_seeds if regime.shots is None else draws.seeds)
    ]


def _words(spec: ProbeSpec) -> str:
    if isinstance(spec, HeldOutC):
        return f"{spec.name} with C chosen"
    return spec.name if spec.C is None else f"{spec.name} with C = {spec.C:g}"


def _once(name: str, given: Sequence[object]) -> None:
    if not given:
        raise UsageError(f"no {name} was given", cure="give at least one, or leave the option out")
    twice = next((item for i, item in enumerate(given) if item in given[:i]), None)
    if twice is not None:
        raise UsageError(f"the {name} {twice} was given twice", cure="give each once")


def blocks(lanes: Sequence[Asked], *, width: int, num_test: int, num_classes: int) -> Iterator[list[Asked]]:
    """Cut a very large study into blocks of draws whose results fit into memory; nearly always there is one.

    The full regime comes with the first block, which solves it once. Blocks are equally large where the number of
    draws allows it: a new size costs a compilation.
    """
    few = [lane for lane in lanes if lane.regime.shots is not None]
    seeds = list(dict.fromkeys(lane.seed for lane in few))
    outputs = 1 if num_classes == 2 else num_classes
    each = 16 * (width + 1) * outputs + 9 * num_test
    per_seed = each * -(-len(few) // max(1, len(seeds)))
    most = max(16, BLOCK_BYTES // max(1, per_seed))
    if len(seeds) <= most:
        yield list(lanes)
        return
    even = next((size for size in range(most, most // 2, -1) if len(seeds) % size == 0), most)
    block_of: Mapping[int, int] = {seed: i // even for i, seed in enumerate(seeds)}
    cut: list[list[Asked]] = [[] for _ in range(-(-len(seeds) // even))]
    for lane in lanes:
        cut[0 if lane.regime.shots is None else block_of[lane.seed]].append(lane)
    yield from cut
