"""Where a pretrained model's files are, and which revision they are: a local folder or the hub."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.encoder.hf_code import code_named_by
from geneb_jax.encoder.hf_files import check_files, is_pointer, read_json
from geneb_jax.encoder.hf_weights import TRAINERS, check_read
from geneb_jax.errors import EncoderError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.py")
_PICKLE_FILES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LOADED_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_OTHERS = {"*.h5": "TensorFlow", "*.msgpack": "Flax", "*.gguf": "llama.cpp", "*.onnx": "ONNX"}
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
    """Files on disk, what to call them, and what they are.

    ``unread`` are weight files that nothing reads; ``fetch_again`` is the cure for a file that is not there, in the
    hub's cache.
    """

    folder: Path
    name: str
    revision: str
    has_safetensors: bool
    unread: tuple[str, ...] = ()
    fetch_again: str | None = None


def unread_note(names: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell of weight files that nothing read."""
    return (f"weight files that were not read: {', '.join(names)}",) if names else ()


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
    unread = check_read(folder, safetensors=has_safetensors, where=where)
    revision = digest_folder(folder, pickle=not has_safetensors)
    return Source(folder, folder.name, revision, has_safetensors, unread)


def _check_files(folder: Path, *, where: str, allow_pickle: bool, again: str | None = None) -> bool:
    """Whether the weights are safetensors. Raises EncoderError for a folder that cannot be loaded.

    ``again`` is the cure for a missing file of the hub's cache.
    """
    place = f"{where}: {folder}"
    if not (folder / "config.json").is_file():
        raise EncoderError(
            "the copy of the model in the cache is incomplete: it has no config.json"
            if again
            else "the folder holds no config.json",
            where=place,
            cure=again
            or "save the model and the tokenizer with their `save_pretrained(folder)`, "
            "or wrap other weights in a class of your own: MODULE:CLASS",
        )
    safe = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    reads = "safetensors" if safe or index.is_file() else "bin"
    check_files(folder, where=where, reads=reads if reads == "safetensors" or allow_pickle else "", again=again)
    if (folder / "model.safetensors").is_file() or index.is_file():
        return True
    if safe:
        check_read(folder, safetensors=True, where=where)
        if not _config_names_weights(folder):
            raise EncoderError(
                f"the folder holds {safe[0].name}, and neither model.safetensors nor an index that names its parts",
                where=place,
                cure=again or "get all files of the model again, or name the file model.safetensors",
            )
        return True
    pickles = [name for name in _LOADED_PICKLES if (folder / name).is_file()]
    if not pickles or any(is_pointer(folder / name) for name in pickles):
        raise _no_weights(folder, place, again)
    if not allow_pickle:
        raise _pickles_only(place)
    return False


def _pickles_only(where: str) -> EncoderError:
    return EncoderError(
        "the model has no weights in safetensors format",
        where=where,
        cure="add model.safetensors, or use a revision that has it; pickled weights (.bin) can run hidden "
        "code when they are read: add allow_pickle=true if you trust them",
    )


def _config_names_weights(folder: Path) -> bool:
    """Whether config.json itself names the file of weights."""
    return isinstance(read_json(folder / "config.json").get("transformers_weights"), str)


def _no_weights(folder: Path, place: str, again: str | None) -> EncoderError:
    if again:
        what = "the copy of the model in the cache is incomplete: it has no weight files"
        return EncoderError(what, where=place, cure=again)
    check_read(folder, safetensors=True, where=place)  # an adapter alone says so
    made_by = [maker for pattern, maker in _OTHERS.items() if next(folder.glob(pattern), None)]
    others = sorted(p.name for pattern in _PICKLE_FILES for p in folder.glob(pattern))
    others = [name for name in others if not TRAINERS.fullmatch(name) and not is_pointer(folder / name)]
    if made_by:
        cure = f"the weights are {made_by[0]}'s: load them with that library, and save the model as model.safetensors"
    elif others:
        cure = f"{others[0]} is not in the hub's layout: wrap the model in a class of your own, MODULE:CLASS"
    else:
        cure = "the copy is incomplete: get the model's files again, with model.safetensors"
    return EncoderError("the folder holds no weights of the model", where=place, cure=cure)


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
        listed = None if any(folder.glob("*.safetensors")) else _listed(repo, folder.name)
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
    again = (
        f"fetch it again where there is network: `hf download {repo} --revision {folder.name}`; if that does not help, "
        "give a whole copy as a local folder"
    )
    pickles = listed is not None and any(name in _LOADED_PICKLES for name in listed)
    if pickles and not allow_pickle and not any(name.endswith(".safetensors") for name in listed or ()):
        raise _pickles_only(where)
    has_safetensors = _check_files(folder, where=where, allow_pickle=allow_pickle, again=again)
    unread = check_read(folder, safetensors=has_safetensors, where=where)
    return Source(folder, repo.rpartition("/")[2], folder.name, has_safetensors, unread, again)


def _listed(repo: str, commit: str) -> list[str] | None:
    """The names of all files of a model at a commit; None where the hub does not say."""
    from huggingface_hub import HfApi

    try:
        return list(HfApi().list_repo_files(repo, revision=commit))
    except Exception:  # no network, or none wanted
        return None
