"""Where a pretrained model's files are, and which revision they are: a local folder or the hub."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.encoder.hf_files import check_files, code_named_by
from geneb_jax.errors import EncoderError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.py")
_PICKLE_FILES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# files that trainers leave beside a model and that no vector depends on
_IGNORED = frozenset({"trainer_state.json", "all_results.json", "train_results.json", "eval_results.json"})
# of subfolders: what code may read there, and what is not there for this model: other engines' copies, stores and runs
_READ_BELOW = frozenset(
    {Path(pattern).suffix for pattern in (*_TEXT_FILES, *_PICKLE_FILES)} | {".safetensors", ".npy", ".npz", ".pkl"}
)
_UNREAD_FOLDERS = frozenset({"__pycache__", "onnx", "openvino", "coreml", "tf", "flax"})
_RESULTS = ("zarr.json", "run.json")


class HubUnreachableError(EncoderError):
    """The files are not in the cache, and the hub does not answer."""


@dataclass(frozen=True)
class Source:
    """Files on disk, what to call them, and what they are."""

    folder: Path
    name: str
    revision: str
    has_safetensors: bool


def find_source(subject: str, *, where: str, allow_pickle: bool) -> Source:
    """Resolve ``./folder``, ``org/name`` or ``org/name@revision``. Raises EncoderError."""
    folder = Path(subject).expanduser()
    if folder.is_dir():
        return _from_folder(folder.resolve(), where=where, allow_pickle=allow_pickle)
    repo, _, revision = subject.partition("@")
    if subject.startswith((".", "/", "~")) or not _REPO.fullmatch(repo):
        raise EncoderError(
            f"there is no folder {subject!r}, and it is no name on the hub",
            where=where,
            cure="write hf:FOLDER with a folder that holds config.json, or hf:ORG/NAME[@REVISION]",
        )
    return _from_hub(repo, revision or None, where=where, allow_pickle=allow_pickle)


def _from_folder(folder: Path, *, where: str, allow_pickle: bool) -> Source:
    has_safetensors = _check_files(folder, where=where, allow_pickle=allow_pickle)
    return Source(folder, folder.name, digest_folder(folder, pickle=not has_safetensors), has_safetensors)


def _check_files(folder: Path, *, where: str, allow_pickle: bool) -> bool:
    """Whether the weights are safetensors. Raises EncoderError for a folder that cannot be loaded."""
    if not (folder / "config.json").is_file():
        raise EncoderError(
            "the folder holds no config.json",
            where=f"{where}: {folder}",
            cure="save the model and the tokenizer with their `save_pretrained(folder)`, "
            "or wrap other weights in a class of your own: MODULE:CLASS",
        )
    check_files(folder, where=where)
    if any(folder.glob("*.safetensors")):
        return True
    has_pickle = any(next(folder.glob(pattern), None) for pattern in _PICKLE_FILES)
    if allow_pickle and not has_pickle:
        raise EncoderError("the model has no weight files", where=f"{where}: {folder}", cure="add model.safetensors")
    if not allow_pickle:
        raise EncoderError(
            "the model has no weights in safetensors format",
            where=f"{where}: {folder}",
            cure="add model.safetensors, or use a revision that has it; pickled weights (.bin) can run hidden "
            "code when they are read: add allow_pickle=true if you trust them",
        )
    return False


def digest_folder(folder: Path, *, pickle: bool) -> str:
    """SHA-256 over the names and contents of weights, configuration, tokenizer and code files."""
    patterns = (*_TEXT_FILES, "*.safetensors", *(_PICKLE_FILES if pickle else ()))
    files = {path.name: path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    files |= _below(folder)
    total = hashlib.sha256()
    for name in sorted(files.keys() - _IGNORED):
        with files[name].open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _below(folder: Path) -> dict[str, Path]:
    """Files in the subfolders that code of the folder's own can read, by their path; nothing else reads subfolders."""
    if not code_named_by(folder):
        return {}
    found, seen = dict[str, Path](), set[Path]()
    for at, folders, names in os.walk(folder, followlinks=True):
        here = Path(at)
        if (real := here.resolve()) in seen or (here != folder and any((here / own).is_file() for own in _RESULTS)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _UNREAD_FOLDERS]
        if here != folder:
            paths = (here / name for name in names if Path(name).suffix in _READ_BELOW)
            found |= {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
    return found


def _from_hub(repo: str, revision: str | None, *, where: str, allow_pickle: bool) -> Source:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def fetch(*patterns: str) -> Path:
        # falls back to the cache by itself when the hub cannot be reached, and obeys HF_HUB_OFFLINE
        found = snapshot_download(repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"])
        return Path(found)

    where = f"{where}: {repo}" + (f"@{revision}" if revision else "")
    try:
        folder = fetch(*_TEXT_FILES, "*.safetensors")
        if allow_pickle and not any(folder.glob("*.safetensors")):
            folder = fetch(*_TEXT_FILES, *_PICKLE_FILES)
    except GatedRepoError as error:
        raise EncoderError(
            "the model is gated", where=where, cure="accept its terms on the hub and run `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise EncoderError(
            f"the model has no revision {revision!r}", where=where, cure="give a commit, tag or branch of it"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise EncoderError(
            "there is no such model on the hub, or it is private",
            where=where,
            cure="check the name, or write a local folder as hf:./folder",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise HubUnreachableError(
            "the model is neither in the local cache nor can the hub be reached",
            where=where,
            cure="check the network (and HF_HUB_OFFLINE), or give a local folder as hf:./folder",
        ) from error
    if not _COMMIT.fullmatch(folder.name):
        raise EncoderError("the hub names no commit for this model", where=where, cure="download it to a folder")
    has_safetensors = _check_files(folder, where=where, allow_pickle=allow_pickle)
    return Source(folder, repo.rpartition("/")[2], folder.name, has_safetensors)
