"""Reading tasks from a dataset on the Hugging Face hub, at one pinned revision.

Files are fetched one task at a time, kept in the hub's own cache and never asked for again: with a full
commit hash as revision a cached file needs no network. ``HF_ENDPOINT`` (a mirror), ``HF_HOME`` (the cache),
``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are honoured as huggingface_hub reads them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from geneb_jax.errors import DataError, MissingDataError
from geneb_jax.paths import short, why_not
from geneb_jax.task.files import TaskFiles, read_files
from geneb_jax.task.info import Task, TaskInfo

_ATTEMPTS: Final = 3
_PAUSE: Final = 1.0  # seconds before the second attempt; doubled for each further one
_SPLITS: Final = ("train", "test")  # the official dataset has no validation split


class HubReader:
    """Fetches the tasks of one hub dataset at one revision.

    It remembers that the hub could not be reached, so that a hundred tasks do not each wait for a time-out.
    """

    def __init__(self, dataset: str, revision: str, *, offline: bool = False, cure: str | None = None) -> None:
        self.dataset = dataset
        self.revision = revision
        self.offline = offline
        self._cure = cure
        self._unreachable: str | None = None

    @property
    def source(self) -> str:
        """The dataset and its revision."""
        return f"hub {self.dataset}@{self.revision}"

    def present(self, info: TaskInfo) -> bool | None:
        """Whether the task is in the cache; None when it is not but could be fetched."""
        from huggingface_hub import constants, try_to_load_from_cache

        for split in _SPLITS:
            name = self._name(info, split)
            hit = try_to_load_from_cache(self.dataset, name, revision=self.revision, repo_type="dataset")
            if not isinstance(hit, str):
                return False if self.offline or constants.is_offline_mode() else None
        return True

    def read(self, info: TaskInfo) -> Task:
        """Fetch what is not cached, then read the task. Raises DataError or MissingDataError."""
        paths = {split: self._fetch(info, self._name(info, split)) for split in _SPLITS}
        return read_files(info, TaskFiles(paths), self.source)

    @staticmethod
    def _name(info: TaskInfo, split: str) -> str:
        name = f"{info.hub_path or f'tasks/{info.id}'}/{split}.csv"
        if problem := why_not(name):
            raise DataError(
                f"the place of this task in the dataset {problem}: {short(name)}", where=f"task {info.id!r}"
            )
        return name

    def _fetch(self, info: TaskInfo, name: str) -> Path:
        """The local path of one file of the dataset, after up to three attempts."""
        from huggingface_hub import errors, hf_hub_download

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return Path(
                    hf_hub_download(
                        self.dataset,
                        name,
                        repo_type="dataset",
                        revision=self.revision,
                        local_files_only=self.offline or self._unreachable is not None,
                        library_name="geneb_jax",
                    )
                )
            except errors.RemoteEntryNotFoundError as error:
                raise self._absent(info, f"the dataset has no file {name}") from error
            except errors.RevisionNotFoundError as error:
                raise self._absent(info, "the dataset has no such revision") from error
            except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
                raise self._absent(info, "there is no such dataset, or it wants a login (HF_TOKEN)") from error
            except errors.LocalEntryNotFoundError as error:
                raise self._offline(info, name, error) from error
            except errors.HfHubHTTPError as error:
                reason = _first_line(error)
                status = error.response.status_code if error.response is not None else 0
                if status < 500 or attempt == _ATTEMPTS:
                    raise self._failed(info, name, reason) from error
            except OSError as error:
                # a file shorter than announced arrives as a plain OSError without a number
                if error.errno is not None:
                    raise _cache_error(error) from error
                if attempt == _ATTEMPTS:
                    raise self._failed(info, name, _first_line(error)) from error
            except Exception as error:
                # the transport's own errors: httpx in some versions of the hub's library, httpx2 in others
                if not type(error).__module__.startswith("httpx"):
                    raise
                if attempt == _ATTEMPTS:
                    raise self._failed(info, name, _first_line(error)) from error
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("every path through the loop returns or raises")  # pragma: no cover

    def _absent(self, info: TaskInfo, reason: str) -> MissingDataError:
        what = f"task {info.id!r} is not on the hub: {reason}"
        return MissingDataError(what, where=self._place(), cure=self._cure)

    def _failed(self, info: TaskInfo, name: str, reason: str) -> MissingDataError:
        what = f"{name} could not be fetched for task {info.id!r}, tried up to {_ATTEMPTS} times: {reason}"
        cure = "run the same command again: what has arrived is kept" + (f"; or: {self._cure}" if self._cure else "")
        return MissingDataError(what, where=self._place(), cure=cure)

    def _offline(self, info: TaskInfo, name: str, error: Exception) -> MissingDataError:
        from huggingface_hub import constants

        if self.offline or constants.is_offline_mode():
            reason = "offline mode is on and the file is not in the hub cache"
        else:
            if self._unreachable is None:
                cause = error.__cause__ or error
                self._unreachable = f"the hub cannot be reached ({_first_line(cause)}) and the file is not in its cache"
            reason = self._unreachable
        what = f"task {info.id!r} has no data here: {reason}"
        return MissingDataError(what, where=f"{name} of {self._place()}", cure=self._cure)

    def _place(self) -> str:
        from huggingface_hub import constants

        return f"dataset {self.dataset}@{self.revision} at {constants.ENDPOINT}"


def _cache_error(error: OSError) -> DataError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    cure = "free space there, or set HF_HOME to a folder that can be written"
    return DataError(f"the hub cache cannot be written: {reason}", where=str(error.filename or "hub cache"), cure=cure)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
