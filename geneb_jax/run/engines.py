"""The names and the precision of the engines, apart from these themselves, so that `geneb probe --help` loads none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from geneb_jax.probes.spec import Dtype

Engine = Literal["jax", "sklearn-stock", "sklearn", "sklearn-optimum"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
STOCK: Final[tuple[Engine, ...]] = ("sklearn-stock", "sklearn")
"""Those with the settings of GENEB's script, which stop before the optimum.

"sklearn-stock" is the script itself: it passes vectors as the encoders give them, in float32. "sklearn" casts them to
float64 first, which moves where lbfgs stops, and with it the scores.
"""


def precision(engine: str, asked: Dtype) -> Dtype:
    """What an engine fits in: the batched one as asked, the others each in one of its own."""
    own: dict[str, Dtype] = {"jax": asked, "sklearn-stock": "float32"}
    return own.get(engine, "float64")
