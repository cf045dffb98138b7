"""From a registry entry and its options to a token encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from geneb_jax.encoder.families.base import FIXED_BY_REFERENCE, Family, Rule
from geneb_jax.encoder.families.loading import Network, load_network
from geneb_jax.encoder.families.token_encoder import TokenEncoder
from geneb_jax.encoder.hf_code import check_revision
from geneb_jax.encoder.hf_source import Source, find_source
from geneb_jax.encoder.info import Setting
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec, resolve_options
from geneb_jax.errors import EncoderError, UsageError


def load(
    family: Family,
    entry: ModelEntry,
    spec: EncoderSpec,
    options: Mapping[str, object],
    *,
    adapt: Callable[[Network], Network] | None = None,
) -> TokenEncoder:
    """The encoder of a registry model whose files are in the hub's layout; ``adapt`` may change how it is read.

    Raises UsageError and EncoderError.
    """
    rule = family.rule or Rule()
    where = f"encoder {spec.text!r}"
    values = resolved(family, spec, options)
    source = find_entry_source(entry, values, where=where)
    network = load_network(
        source,
        rule,
        rule.preset(str(values["preset"])),
        where=where,
        trust=bool(values["trust_remote_code"]),
        dtype=working_dtype(family, values),
        seed=values["random_weights"],
        library_code=not entry.needs_remote_code,
    )
    if adapt is not None:
        network = adapt(network)
    encoder = TokenEncoder(entry, family, network, source, values)
    encoder.reload = lambda: load(family, entry, spec, {**options, "dtype": "float32", "compile": False}, adapt=adapt)
    if not values["folder"] and values["layer"] == "last" and encoder.info.width != entry.width:
        raise EncoderError(
            f"the model is {encoder.info.width} wide, and {entry.display} is {entry.width}",
            where=where,
            cure="the files are not those of the registry's revision: leave revision= out",
        )
    return encoder


def resolved(family: Family, spec: EncoderSpec, options: Mapping[str, object]) -> dict[str, Setting]:
    """All options with their defaults. Raises UsageError, EncoderError."""
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), family.options, options)
    if values["preset"] == "reference":
        defaults = {option.name: option.default for option in family.options}
        for name in FIXED_BY_REFERENCE:
            if values[name] != defaults[name]:
                raise UsageError(
                    f"preset=reference is what GENEB's extractor does, so {name} cannot be chosen",
                    where=where,
                    cure=f"leave {name}= out, or use preset=normalized",
                )
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise EncoderError(
            f"this model needs torch and transformers ({error})", where=where, cure="pip install 'geneb_jax[hf]'"
        ) from error
    return values


def working_dtype(family: Family, values: Mapping[str, Setting]) -> str:
    """The arithmetic asked for, or else the preset's own on that device."""
    import torch

    if values["dtype"] is not None:
        return str(values["dtype"])
    preset = (family.rule or Rule()).preset(str(values["preset"]))
    on_cuda = values["device"] != "cpu" and torch.cuda.is_available()
    return preset.cuda_dtype if on_cuda else preset.dtype


def find_entry_source(entry: ModelEntry, values: Mapping[str, Setting], *, where: str) -> Source:
    """The files of a registry model: the folder asked for, or the hub at its pinned commit. Raises EncoderError."""
    pickle = bool(values["allow_pickle"])
    if values["folder"]:
        return find_source(f"{values['folder']}/", where=where, allow_pickle=pickle)
    if entry.hub_id is None:
        raise EncoderError(
            f"{entry.display} is not on the hub", where=where, cure="download its files and add folder=FOLDER"
        )
    revision = str(values["revision"] or entry.hub_revision or "") or None
    if values["trust_remote_code"] and entry.needs_remote_code:
        check_revision(revision, where=where)
    return find_source(entry.hub_id + (f"@{revision}" if revision else ""), where=where, allow_pickle=pickle)
