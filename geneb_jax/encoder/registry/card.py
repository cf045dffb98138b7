"""What a registry model's card says beyond its facts: the presets in words, and the commands to type."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from geneb_jax.encoder.hf_advice import OLDER_CODE
from geneb_jax.encoder.registry.entry import ModelEntry

_POOLING = {
    "masked-mean": "mean over the tokens that are no padding",
    "last-real-token": "the vector of the last token",
    "cls": "the vector of the first token, [CLS]",
    "mean-over-bins": "mean over all output bins",
    "mean-first-record-only": "mean over the tokens, of the first sequence of each batch only",
    "mean-with-padding": "mean over all tokens, padding included",
}


def command_name(entry: ModelEntry) -> str:
    """How to write the model on a command line: its display name, unless that holds a space."""
    return entry.model if " " in entry.display else entry.display


def reference_text(entry: ModelEntry) -> str:
    """What ``preset=reference`` computes, in one sentence, and the official extractor's defects."""
    texts = {True: ", special tokens counted", False: ", special tokens not counted", None: ""}
    counted = "" if entry.pooling == "mean-over-bins" else texts[entry.special_tokens_in_mean]
    note = entry.version_note or ""
    cut = "" if entry.max_tokens is None else f"; inputs cut at {entry.max_tokens:,} {entry.length_unit}"
    if note.startswith("longer inputs: "):
        cut = "; " + note.partition(";")[0]
    text = (
        f"{_POOLING[entry.pooling]}{counted}; {entry.layer}; {entry.dtype}{cut}: "
        f"as GENEB's own extractor ({entry.extractor}) does."
    )
    found = "; ".join(defects(entry))
    return text + (f" Known to be wrong, kept, and named in every record: {found}." if found else "")


def defects(entry: ModelEntry) -> tuple[str, ...]:
    """What ``preset=reference`` names in its records: the registry's defects, and that of the family's rule."""
    from geneb_jax.encoder.families import FAMILIES
    from geneb_jax.encoder.families.onehot_rules import BINS

    family, bins = FAMILIES.get(entry.family), BINS.get(entry.family)
    own = bins.defect if bins else family.rule.reference.defect if family and family.rule else None
    return (*entry.defects, *([own] if own else []))


def normalized_text(entry: ModelEntry) -> str:
    """What ``preset=normalized`` computes, in one sentence."""
    if entry.pooling == "mean-over-bins":
        return (
            f"mean over the output bins that hold a base of the sequence; {entry.layer}; float32; the same vector "
            "alone and in any batch."
        )
    return (
        "mean over the sequence's own tokens, without special tokens and padding; last hidden state; float32; the "
        "same vector alone and in any batch."
    )


def encoder_string(entry: ModelEntry, preset: str | None = None) -> str:
    """The encoder string with what it cannot do without; `preset` None leaves the default."""
    parts = [command_name(entry)]
    parts += [f"preset={preset}"] if preset else []
    parts += [] if entry.hub_id else ["folder=DIR"]
    parts += ["allow_pickle=true"] if entry.needs.pickle else []
    return ",".join(parts)


def weights_address(entry: ModelEntry) -> str:
    """Where weights that are not on the hub are downloaded."""
    source, _, rest = entry.weights_source.partition(":")
    return f"https://zenodo.org/records/{rest}" if source == "zenodo" else rest


def code_steps(entry: ModelEntry) -> list[str]:
    """What to install, one step a line."""
    clone = f"git clone {entry.needs.repository}   and put the clone on PYTHONPATH"
    return [entry.install or "", *([clone] if entry.needs.repository else [])]


def code_note(entry: ModelEntry) -> str | None:
    """What the model's own code asks of the installed transformers; None where none of it is run, or none is installed.

    The pinned revisions with code of their own are all of the time of transformers 4.
    """
    try:
        found = version("transformers")
    except PackageNotFoundError:
        found = ""
    if not entry.needs_remote_code or found.startswith("4."):
        return None
    return (
        f"its authors' code is of the time of transformers 4, and much of that does not run with "
        f"{f'{found}, installed here' if found else 'transformers 5'}; if loading says so, {OLDER_CODE}"
    )


def install_steps(entry: ModelEntry) -> list[str]:
    """What to do before the model can be used, one step a line."""
    steps = code_steps(entry)
    if not entry.hub_id:
        steps.append(f"download the weights into a folder, DIR below: {weights_address(entry)}")
    return steps


def embed_command(entry: ModelEntry, preset: str | None = None) -> str:
    """The command line that embeds the suite ``geneb`` with the model."""
    trust = " --trust-remote-code" if entry.needs_remote_code and entry.hub_id else ""
    return f"geneb embed {encoder_string(entry, preset)} --suite geneb --store embeddings.zarr{trust}"


def download_command(entry: ModelEntry) -> str | None:
    """The command that fetches the files on a machine with network; None where they are not on the hub."""
    if entry.hub_id is None:
        return None
    revision = f" --revision {entry.hub_revision}" if entry.hub_revision else ""
    return f"hf download {entry.hub_id}{revision} --local-dir DIR"


def code_page(entry: ModelEntry) -> str:
    """Where the code that comes with the model can be read, at the commit that is run."""
    return f"https://huggingface.co/{entry.hub_id}/tree/{entry.hub_revision or 'main'}"
