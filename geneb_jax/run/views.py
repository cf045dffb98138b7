"""Which encoders are views of one model: the same weights with another layer or another pooling."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from geneb_jax.errors import UsageError, unknown_name
from geneb_jax.run.meta import EncoderMeta
from geneb_jax.run.plan import open_elements
from geneb_jax.store import Manifest

_OPTIONS = re.compile(r",(?:layer|pooling)=[^,]*")


@dataclass(frozen=True)
class View:
    """One encoder as a view of a model: `name` is without layer and pooling, `model` a digest that all views share.

    `pooling` and `layer` are None where the model has a single view, so that there is nothing to choose.
    """

    name: str
    model: str
    pooling: str | None
    layer: str | None


def find_views(encoders: Iterable[Manifest | EncoderMeta]) -> dict[str, View]:
    """The view that each encoder is, by its digest. Models of one name get a part of their digest behind it."""
    found = {encoder.digest: _view(encoder) for encoder in encoders}
    shared = Counter(found.values())
    sizes = Counter(view.model for view in found.values())
    for digest, view in found.items():
        if shared[view] > 1:  # they differ in something else
            found[digest] = replace(view, model=digest, pooling=None, layer=None)
        elif sizes[view.model] == 1:
            found[digest] = replace(view, pooling=None, layer=None)
    models: dict[str, set[str]] = {}
    for view in found.values():
        models.setdefault(view.name, set()).add(view.model)
    return {
        digest: replace(view, name=f"{view.name} #{view.model[:6]}") if len(models[view.name]) > 1 else view
        for digest, view in found.items()
    }


def stored_views(
    stores: Sequence[str | os.PathLike[str]],
    poolings: Collection[str] | None = None,
    layers: Collection[str] | None = None,
    preset: str | None = None,
) -> dict[str, View]:
    """The views in stores, as `select_views` chooses them.

    Raises:
        StoreError: a store is damaged, or holds nothing; and as `select_views` does.
    """
    return select_views(find_views(e.manifest for _, e in open_elements(stores, preset=preset)), poolings, layers)


def select_views(
    views: Mapping[str, View], poolings: Collection[str] | None, layers: Collection[str] | None
) -> dict[str, View]:
    """The views with one of these poolings and layers (None: any), by digest; a model's single view always stays.

    Raises:
        UsageError: no model has several views.
        UnknownNameError: no view has such a pooling or layer.
    """
    chosen = {digest: view for digest, view in views.items() if view.pooling is not None}
    for axis, wanted in (("pooling", poolings), ("layer", layers)):
        if wanted is None:
            continue
        if not chosen:
            raise UsageError(
                f"--{axis} was given, and every encoder here has one view only",
                cure="embed several with `geneb embed … --layers last,mid --pooling mean,max`, or leave the option out",
            )
        known = sorted({str(getattr(view, axis)) for view in chosen.values()})
        for one in wanted:
            if one not in known:
                raise unknown_name(axis, one, known)
        chosen = {digest: view for digest, view in chosen.items() if getattr(view, axis) in wanted}
    return {digest: view for digest, view in views.items() if view.pooling is None or digest in chosen}


def _view(encoder: Manifest | EncoderMeta) -> View:
    # cls reads one token whatever special_tokens says, and records null there
    rest = {k: v for k, v in encoder.settings.items() if k not in ("layer", "pooling", "special_tokens")}
    name = _OPTIONS.sub("", encoder.name)
    parts = [name, encoder.family, encoder.revision, rest, dict(encoder.libraries)]
    model = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return View(name, model, str(encoder.settings.get("pooling")), str(encoder.settings.get("layer")))
