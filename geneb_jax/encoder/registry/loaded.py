"""From the name of a registry model to an encoder, or to an error that says what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from geneb_jax.encoder.hf_source import HubUnreachableError
from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.registry.card import (
    code_page,
    code_steps,
    command_name,
    download_command,
    encoder_string,
    weights_address,
)
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
    _require_source(entry, options)
    try:
        return load_model(entry, spec, dict(options))
    except ImportError as error:
        raise _not_installed(entry, error) from error
    except HubUnreachableError as error:
        raise _unreachable(entry, error) from error
    except EncoderError as error:
        if isinstance(error.__cause__, ImportError) and entry.needs.missing():
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
    where = f"encoder {command_name(entry)}"
    if not absent:
        return EncoderError(
            f"an import fails, and all that {entry.display} needs is installed: {str(error).splitlines()[0]}",
            where=where,
            cure="a package may be broken, or of another version than its authors name",
        )
    what = f"{entry.display} needs {_listed(absent)}, not installed here"
    return EncoderError(what, where=where, cure="; ".join(code_steps(entry)))


def _require_source(entry: ModelEntry, options: Mapping[str, object]) -> None:
    """Raise EncoderError before anything is downloaded: no such folder, nothing to download, code not allowed."""
    where = f"encoder {command_name(entry)}"
    folder = options.get("folder")
    if folder:
        if not Path(str(folder)).expanduser().is_dir():
            fetch = download_command(entry) or f"download the weights from {weights_address(entry)}"
            raise EncoderError(
                f"there is no folder {str(folder)!r}", where=where, cure=f"check its name, or make it: {fetch}"
            )
        return
    if not entry.hub_id:
        raise EncoderError(
            f"{entry.display} is not on the hub: its weights are at {weights_address(entry)}",
            where=where,
            cure=f"download them, then write {encoder_string(entry)}; `geneb encoders {command_name(entry)}` says "
            "what to install",
        )
    trusted = str(options.get("trust_remote_code", False)).lower() in ("true", "yes", "on", "1")
    if entry.needs_remote_code and not trusted and not _stock_code(entry, options):
        raise EncoderError(
            f"{entry.display} runs Python code that comes with the model, which needs your leave",
            where=where,
            cure=f"read it at {code_page(entry)}, then add --trust-remote-code to the command, or write "
            f"{encoder_string(entry)},trust_remote_code=true",
        )


def _stock_code(entry: ModelEntry, options: Mapping[str, object]) -> bool:
    """Whether this preset reads the model with the code of transformers, as one official extractor does."""
    from geneb_jax.encoder.families import FAMILIES

    rule = FAMILIES[entry.family].rule
    return rule is not None and rule.preset(str(options.get("preset", "normalized"))).stock_code


def _unreachable(entry: ModelEntry, error: EncoderError) -> EncoderError:
    name = command_name(entry)
    return EncoderError(
        error.what,
        where=error.where,
        cure=f"check the network (and HF_HUB_OFFLINE) and run the command again; or, where there is network, "
        f"`{download_command(entry)}`, and write {name},folder=DIR here",
    )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
