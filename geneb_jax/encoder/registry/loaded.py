"""From the name of a registry model to an encoder, or to an error that says what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.registry.card import command_name, encoder_string
from geneb_jax.encoder.registry.entry import ModelEntry, find_model
from geneb_jax.encoder.spec import EncoderSpec, Option
from geneb_jax.errors import EncoderError


def load(spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    """The model that ``spec.kind`` names, by the rule of its family.

    Raises UnknownNameError for a name nobody knows, UsageError for an option the rule does not have, and
    EncoderError with what to install, or which option to give, where something is missing.
    """
    from geneb_jax.encoder.families import FAMILIES, load_model

    entry = find_model(spec.kind)
    if entry.family not in FAMILIES:
        raise no_rule(entry)
    if not entry.hub_id and not options.get("folder"):
        raise _not_on_hub(entry)
    try:
        return load_model(entry, spec, dict(options))
    except ImportError as error:
        raise _not_installed(entry, error) from error
    except EncoderError as error:
        if isinstance(error.__cause__, ImportError):
            raise _not_installed(entry, error.__cause__) from error
        raise


def model_options(name: str) -> tuple[Option, ...]:
    """The options of the model's loading rule; none where it has no rule. Raises UnknownNameError."""
    from geneb_jax.encoder.families import FAMILIES

    family = FAMILIES.get(find_model(name).family)
    return family.options if family else ()


def no_rule(entry: ModelEntry) -> EncoderError:
    """The error for a model whose code is its authors' own and not part of this package."""
    clone = f"clone {entry.needs.repository}, " if entry.needs.repository else ""
    return EncoderError(
        f"{entry.display} runs only in its authors' code, which this package does not hold",
        where=f"weights: {entry.weights_source}",
        cure=f"{clone}wrap the model in a class of your own with `width` and `encode(sequences)`, and name that: "
        "MODULE:CLASS; `geneb encoders module:Class` shows the smallest one",
    )


def _not_installed(entry: ModelEntry, error: ImportError) -> EncoderError:
    absent = entry.needs.missing()
    what = f"{entry.display} needs {_listed(absent)}, not installed here" if absent else str(error).splitlines()[0]
    return EncoderError(what, where=f"encoder {command_name(entry)}", cure=entry.install)


def _not_on_hub(entry: ModelEntry) -> EncoderError:
    return EncoderError(
        f"{entry.display} is not on the hub: its weights are at {entry.weights_source}",
        where=f"encoder {command_name(entry)}",
        cure=f"download them, then write {encoder_string(entry)}; to install: {entry.install}",
    )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
