"""Where a store lies: a local folder, or a folder behind an address (s3://, gs://, https://, memory://) to read from.

Only local folders are written to. A writer must be the only one, and none of these protocols has a lock that its
holder's death frees; so a store is made on a disk and copied to its address (`geneb store copy`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from geneb_jax.errors import StoreError
from geneb_jax.paths import confined, short, why_not_one

_ADDRESS: Final = re.compile(r"^(s3|s3a|gs|gcs|https?|memory|file|local):/+(?=.)")
_PACKAGES: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
LISTING: Final = "contents.json"
"""In a copy of a store: names of its folders, for protocols that cannot list."""


class Remote:
    """A file or folder behind an address, as far as a reader of stores needs it."""

    def __init__(self, fs: Any, url: str, root: str, below: str = "", listing: dict[str, list[str]] | None = None):
        self._fs = fs
        self._url = url
        self._root = root
        self._below = below
        self._listing = listing

    def __truediv__(self, name: str) -> Remote:
        return Remote(self._fs, self._url, self._root, f"{self._below}/{name}".strip("/"), self._listing)

    def __str__(self) -> str:
        return f"{self._url}/{self._below}".rstrip("/")

    __fspath__ = __str__  # for messages and names only: nothing here opens it as a file

    @property
    def name(self) -> str:
        """The last part of the address."""
        return str(self).rsplit("/", 1)[-1]

    def read_bytes(self, start: int | None = None, stop: int | None = None) -> bytes:
        """The whole file or a part of it. Raises FileNotFoundError, or StoreError when the place does not answer."""
        try:
            return bytes(self._fs.cat_file(self._full, start=start, end=stop))
        except FileNotFoundError:
            raise
        except Exception as error:  # every protocol has its own
            raise _unreachable(self, error) from error

    def write_bytes(self, data: bytes) -> None:
        """Put a whole file. Raises StoreError where the protocol only reads, or refuses."""
        try:
            self._fs.pipe_file(self._full, data)
        except NotImplementedError as error:
            raise StoreError(
                "this protocol can only be read from", where=str(self), cure="copy to a folder, s3:// or gs://"
            ) from error
        except Exception as error:
            raise _unreachable(self, error) from error

    def exists(self) -> bool:
        """Whether there is a file here."""
        try:
            return bool(self._fs.isfile(self._full))
        except Exception as error:
            raise _unreachable(self, error) from error

    def size(self) -> int:
        """Bytes of the file. Raises FileNotFoundError."""
        return int(self._fs.size(self._full))

    def folders(self) -> list[str]:
        """Names of the folders in this one, sorted. Raises StoreError where one could lead out of it."""
        if self._listing is not None:
            return sorted(self._listing.get(self._below, ()))
        try:
            found = self._fs.ls(self._full, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise _unreachable(self, error) from error
        names = {str(f["name"]).rstrip("/").rsplit("/", 1)[-1] for f in found if f["type"] == "directory"}
        return sorted(_inside(names - {self.name, ""}, self))

    def with_listing(self) -> Remote:
        """The same place with the listing that a copied store carries, where there is one."""
        try:
            record = json.loads((self / LISTING).read_bytes())
            folders = {str(k): [str(n) for n in v] for k, v in record["folders"].items()}
            _inside((name for names in folders.values() for name in names), self / LISTING)
        except FileNotFoundError:
            return self
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"the listing of this store cannot be read: {error!r}",
                where=str(self / LISTING),
                cure="copy the store to this address again (`geneb store copy`)",
            ) from error
        return Remote(self._fs, self._url, self._root, self._below, folders)

    @property
    def _full(self) -> str:
        return f"{self._root}/{self._below}".rstrip("/")


Place: TypeAlias = Path | Remote


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether this names a place behind a protocol; also when a Path has folded its slashes."""
    return _ADDRESS.match(os.fspath(path)) is not None and not Path(path).exists()


def find_place(path: str | os.PathLike[str]) -> Place:
    """A local path or a remote place. Raises StoreError for a protocol whose package is not installed."""
    text = os.fspath(path)
    match = _ADDRESS.match(text)
    if not is_address(path):
        if "://" in text:
            raise StoreError(
                f"stores cannot be read by the protocol {text.split('://')[0]!r}",
                where=text,
                cure="give a local folder or an address that begins with s3://, gs://, https:// or memory://",
            )
        return Path(path)
    assert match is not None
    protocol = match.group(1)
    rest = text[match.end() :].rstrip("/")
    if protocol in ("file", "local"):
        return Path("/" + rest)
    package = _PACKAGES.get(protocol)
    if package is not None and importlib.util.find_spec(package) is None:
        raise StoreError(
            f"reading from {protocol}:// needs the package {package}",
            where=text,
            cure=f"pip install {package} (or geneb_jax[remote])",
        )
    import fsspec

    url = f"{protocol}://{rest}"
    try:
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except Exception as error:  # missing credentials and the like, as the protocol words it
        raise _unreachable(url, error) from error
    return Remote(fs, url, str(root).rstrip("/"))


def read_bytes(place: Place) -> bytes:
    """A whole file. Raises FileNotFoundError."""
    return place.read_bytes()


def folders(place: Place) -> list[str]:
    """Names of the folders in a place, sorted; hidden ones are left out."""
    if isinstance(place, Path):
        names = sorted(p.name for p in place.iterdir() if p.is_dir()) if place.is_dir() else []
    else:
        names = place.folders()
    return [n for n in names if not n.startswith(".")]


def require_local(place: Place, what: str) -> Path:
    """The place as a local folder. Raises StoreError for an address."""
    if isinstance(place, Path):
        return place
    raise StoreError(
        f"{what} works on local folders only: an address gives no lock that keeps a second writer out",
        where=str(place),
        cure="work on a local store and put it there with `geneb store copy`; reading from the address is possible",
    )


def refuse_links(root: Path, below: str) -> None:
    """Raise StoreError for a link that leads out of a store, in a folder to be written to or in place of it.

    What is written would land outside. Reading through links is possible.
    """

    def check(name: str) -> None:
        confined(root, name, what="folder or file of a store", error=StoreError)

    if (root / below).is_symlink():
        check(below)
    left = [below]
    while left:
        name = left.pop()
        if not (root / name).is_dir():
            continue
        with os.scandir(root / name) as found:
            for entry in found:
                if entry.is_symlink():
                    check(f"{name}/{entry.name}")
                elif entry.is_dir():
                    left.append(f"{name}/{entry.name}")


def stamp(folder: Place) -> tuple[int, ...] | None:
    """What tells an element's folder from one that took its place; what writers do in it leaves this as it is."""
    if not isinstance(folder, Path):
        return None
    try:
        return tuple(p.stat().st_ino for p in (folder, folder / "embeddings", folder / "digests"))
    except OSError:
        return None


def _inside(names: Iterable[str], where: Remote) -> list[str]:
    """These names; each is of a folder of a store, and none may lead out of the one it stands in."""
    found = list(names)
    for name in found:
        if problem := why_not_one(name):
            raise StoreError(
                f"the store at this address names a folder that {problem}: {short(name)}",
                where=str(where),
                cure="nothing was read from or written to the place it names; get the store from where you trust it",
            )
    return found


def _unreachable(place: object, error: Exception) -> StoreError:
    return StoreError(
        f"this address does not answer as it should: {type(error).__name__}: {error}"[:400],
        where=str(place),
        cure="check the address, your credentials and the network",
    )
