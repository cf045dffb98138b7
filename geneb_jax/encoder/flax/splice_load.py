"""``openspliceai:FOLDER_OR_FILE`` and ``spliceai[:1..5|all|FILE]``: from the string to the network.

Every letter but A, C, G, T and U is N, all zero, as in both originals; sequences of any length are read whole.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from geneb_jax.encoder.flax.splice import CHANNELS, SpliceEncoder
from geneb_jax.encoder.flax.splice_files import KERAS_FILES, TORCH_FILES, read_weights
from geneb_jax.encoder.info import EncoderInfo, Setting
from geneb_jax.encoder.kinds import OPENSPLICEAI, SPLICEAI, Kind
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.errors import EncoderError, UsageError

_RULE = 1  # raise it when the network's code or the pooling changes a vector
_ENSEMBLE = 5


def load_openspliceai(spec: EncoderSpec, options: Mapping[str, object]) -> SpliceEncoder:
    """The encoder of ``openspliceai:FOLDER_OR_FILE``. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), OPENSPLICEAI.options, options)
    if not spec.subject:
        raise UsageError("openspliceai: needs its weights", where=where, cure=f"write {OPENSPLICEAI.form}")
    path = _find(Path(spec.subject).expanduser(), values["context"], where=where)
    return _make([path], f"openspliceai:{path.stem}", OPENSPLICEAI, values, where=where)


def load_spliceai(spec: EncoderSpec, options: Mapping[str, object]) -> SpliceEncoder:
    """The encoder of ``spliceai[:1..5|all|FILE]``. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), SPLICEAI.options, options)
    subject = spec.subject or "1"
    if subject != "all" and not re.fullmatch(rf"[1-{_ENSEMBLE}]", subject):
        path = _find(Path(subject).expanduser(), None, where=where)
        return _make([path], f"spliceai:{path.stem}", SPLICEAI, values, where=where)
    folder = package_folder("spliceai", where=where, cure=SPLICEAI.needs or "") / "models"
    numbers = range(1, _ENSEMBLE + 1) if subject == "all" else (subject,)
    return _make([folder / f"spliceai{n}.h5" for n in numbers], f"spliceai:{subject}", SPLICEAI, values, where=where)


def package_folder(name: str, *, where: str, cure: str) -> Path:
    """Where an installed package lies, without importing it. Raises EncoderError where it is not installed."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise EncoderError(f"the weights come with the package {name}, which is not installed", where=where, cure=cure)
    return Path(next(iter(found.submodule_search_locations)))


def digest_file(path: Path, *, where: str) -> str:
    """SHA-256 of a weight file. Raises EncoderError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(
            f"the weight file cannot be read: {error.strerror}", where=f"{where}: {path}", cure="check the path"
        ) from error


def _find(path: Path, context: Setting, *, where: str) -> Path:
    """The weight file itself, or the one in a folder, by its context where there are several."""
    if not path.is_dir():
        return path
    files = sorted(p for p in path.iterdir() if p.suffix in (*TORCH_FILES, *KERAS_FILES))
    if context is not None:
        # OpenSpliceAI's own names: model_400nt_rs10.pt
        files = [p for p in files if re.search(rf"(?<!\d){context}nt", p.name)]
    if len(files) == 1:
        return files[0]
    names = ", ".join(p.name for p in files) or "none"
    raise UsageError(
        f"the folder holds {len(files)} weight files that fit: {names}",
        where=f"{where}: {path}",
        cure="name one file, or add context=80, 400, 2000 or 10000",
    )


def _make(paths: list[Path], name: str, kind: Kind, values: Mapping[str, Setting], *, where: str) -> SpliceEncoder:
    digests = [digest_file(path, where=where) for path in paths]
    networks = [read_weights(path, where=where) for path in paths]
    layout = networks[0][0]
    if any(other != layout for other, _ in networks):
        raise EncoderError("the networks differ in their layout", where=where, cure="load them one by one")
    pooling = str(values["pooling"])
    info = EncoderInfo(
        name=display_name(name, [o for o in kind.options if o.name == "pooling"], values),
        family=kind.name,
        revision=digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        width=CHANNELS * len(networks),
        settings={"rule": _RULE, "context": layout.context, "pooling": pooling, "dtype": "float32"},
    )
    return SpliceEncoder(networks, info, pooling=pooling)
