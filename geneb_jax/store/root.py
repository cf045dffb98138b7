"""A store: a folder that holds one element per encoder."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from geneb_jax.errors import StoreError, UsageError, unknown_name
from geneb_jax.paths import confined
from geneb_jax.store import arrays, files, places
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import VERSION, Fault, Manifest
from geneb_jax.store.journal import read_manifest
from geneb_jax.store.places import Place

Mode = Literal["r", "a"]
REPAIR: Final = ".repair"
"""Where `repair` builds what will replace a damaged element."""
DAMAGED: Final = ".damaged"
"""Where `repair` sets aside what it replaced."""


class Store:
    """The elements of a store by key or manifest. Open it with `open_store`."""

    def __init__(self, path: Place, mode: Mode, wait: float) -> None:
        self.path = path
        self.mode = mode
        self._wait = wait
        self._open: list[EmbeddingStore] = []

    def keys(self) -> list[str]:
        """Folder names of the finished elements, sorted. Damaged ones are listed, `verify` tells."""
        return [key for key in self._folders() if not is_unfinished(self.path, key)]

    def elements(self) -> list[EmbeddingStore]:
        """All elements, opened for reading. Raises StoreError when one of them is damaged."""
        return [EmbeddingStore(self.path, key) for key in self.keys()]

    def open(self, name: str) -> EmbeddingStore:
        """One element for reading, by its key, or by its encoder's name when that is unambiguous."""
        keys = self.keys()
        if name in keys:
            return EmbeddingStore(self.path, name)
        names: dict[str, list[str]] = {}
        for key in keys:
            names.setdefault(read_manifest(self.path, key).name, []).append(key)
        hits = names.get(name, [])
        if len(hits) > 1:
            raise StoreError(
                f"{len(hits)} elements belong to an encoder called {name!r}",
                where=str(self.path),
                cure=f"name one of {', '.join(hits)}",
            )
        if not hits:
            raise unknown_name("encoder in this store", name, [*names, *keys])
        return EmbeddingStore(self.path, hits[0])

    def element(
        self,
        manifest: Manifest,
        *,
        commit_rows: int | None = None,
        compression: arrays.Compression = "none",
        dtype: str | None = None,
    ) -> EmbeddingStore:
        """The element of a manifest. Mode "a" creates it when it is not there and locks it for writing.

        ``commit_rows`` (rows of a shard) and ``compression`` only count when it is created. ``dtype`` "float16" or
        "bfloat16" names the element that holds the same vectors rounded (`Manifest.stored_as`); by default the
        manifest's own, float32. Raises StoreError when there is no such element (mode "r"), when another writer
        holds it, or when it is damaged.
        """
        if dtype is not None:
            manifest = manifest.stored_as(dtype)
        key = self._key(manifest)
        if self.mode == "r":
            if key is None or is_unfinished(self.path, key):
                raise self._no_element(manifest)
            return EmbeddingStore(self.path, key)
        key, root = key or manifest.key, places.require_local(self.path, "writing")
        places.refuse_links(root, key)
        if (root / REPAIR / key).exists():
            raise StoreError(
                "this element is being repaired, or its repair was interrupted",
                where=str(root / key),
                cure="wait for the repair, or finish it with `geneb verify --repair`",
            )
        lock = files.WriterLock(root / key / "embeddings", wait=self._wait)
        try:
            if is_unfinished(root, key):
                create_element(root, key, manifest, commit_rows, compression)
            opened = EmbeddingStore(root, key, lock=lock)
        except BaseException:
            lock.release()
            raise
        self._open.append(opened)
        return opened

    def verify(self) -> list[Fault]:
        """Read everything in the store and compare it with its checksums; empty when it is sound."""
        from geneb_jax.store.verify import verify_store

        return verify_store(self)

    def close(self) -> None:
        """Release every element opened for writing."""
        for element in self._open:
            element.close()
        self._open.clear()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, mode={self.mode!r})"

    def _folders(self) -> list[str]:
        return places.folders(self.path)

    def _key(self, manifest: Manifest) -> str | None:
        # the digest decides: an encoder that was renamed since keeps its element
        tail = f"-{manifest.digest[:12]}"
        return next((key for key in self._folders() if key.endswith(tail)), None)

    def _no_element(self, wanted: Manifest) -> StoreError:
        manifests = [read_manifest(self.path, key) for key in self.keys()]
        relatives = [
            m for m in manifests if m.family == wanted.family and m.stored_as(wanted.dtype).name == wanted.name
        ]
        if relatives:
            differences = "; ".join(_differences(relatives[0], wanted))
            what = f"this store holds {wanted.name} made differently: {differences}"
        else:
            names = ", ".join(m.name for m in manifests)
            what = f"this store holds no vectors of {wanted.name}, " + (f"only of {names}" if names else "nor any")
        return StoreError(
            what,
            where=str(self.path),
            cure="embed with this encoder first, or probe with the encoder that made the store",
        )


def open_store(path: str | os.PathLike[str], mode: Mode = "r", *, wait: float = 0.0) -> Store:
    """Open a store; mode "a" creates it when nothing is there. ``wait``: seconds to wait for another writer.

    Raises StoreError when there is no store (mode "r"), when the path holds something else, or when it
    cannot be written to (mode "a").
    """
    if mode not in ("r", "a"):
        raise StoreError(f"a store is opened with mode 'r' or 'a', not {mode!r}")
    folder = places.find_place(path)
    if not isinstance(folder, Path):
        if mode == "a":
            places.require_local(folder, "writing")
        folder = folder.with_listing()
        arrays.check_type(arrays.group_attributes(folder, ""), "store", folder)
        return Store(folder, mode, wait)
    if folder.exists() and not folder.is_dir():
        raise StoreError("a store is a folder, and this is a file", where=str(folder), cure="choose another path")
    if mode == "a":
        _prepare(folder)
    elif not folder.is_dir():
        raise StoreError(
            "there is no store here",
            where=str(folder),
            cure="check the path; `geneb embed … --store PATH` makes one",
        )
    arrays.check_type(arrays.group_attributes(folder, ""), "store", folder)
    return Store(folder, mode, wait)


def create_element(root: Path, key: str, manifest: Manifest, rows: int | None, compression: arrays.Compression) -> None:
    """An element without rows; its attributes, written last, finish it."""
    if rows is not None and rows < 1:
        raise UsageError(f"a commit has at least one row, not {rows}", cure="choose --chunk-rows 1 or more")
    rows = rows or arrays.default_rows(manifest.width)
    folder = root / key
    with files.writing(folder):
        files.sweep_partial(folder)
        for part in ("embeddings", "digests", "splits"):
            # left by a writer that was killed while it created the element; `is_unfinished` saw no rows
            (folder / part / "zarr.json").unlink(missing_ok=True)
        arrays.create_embeddings(root, key, manifest.width, rows, compression, manifest.dtype)
        arrays.create_digests(root, key, rows)
        arrays.put_attributes(folder, "splits", {"geneb_type": "splits", "geneb_version": VERSION})
        attributes = {
            "geneb_type": "element",
            "geneb_version": VERSION,
            "kind": manifest.kind,
            "manifest": manifest.as_json(),
            "manifest_digest": manifest.digest,
        }
        arrays.put_attributes(folder, "", attributes)
        files.sync_files(sorted(folder.rglob("zarr.json")))


def is_unfinished(root: Place, key: str) -> bool:
    """Whether a folder is an element whose creation was cut short: it has no rows and no attributes yet.

    A folder with rows is never unfinished, so damage to its metadata cannot make a writer start it afresh.
    """
    folder = root / key
    if isinstance(folder, Path) and ((folder / "embeddings" / "c").exists() or (folder / "digests" / "c").exists()):
        return False
    try:
        return "geneb_type" not in arrays.group_attributes(root, key)
    except StoreError:
        return not (folder / "zarr.json").exists()


def _prepare(folder: Path) -> None:
    for name in ("zarr.json", places.LISTING):
        confined(folder, name, what="file of a store", error=StoreError)
    if not folder.is_dir() or not any(folder.iterdir()):
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files.require_writable(folder)
            arrays.create_root(folder)
            files.sync_files([folder / "zarr.json"])
        return
    if not (folder / "zarr.json").exists() and not all(p.suffix == ".partial" for p in folder.iterdir()):
        raise StoreError(
            "this folder is not empty and is no store",
            where=str(folder),
            cure="choose a new folder for the store, such as embeddings.zarr",
        )
    files.require_writable(folder)
    (folder / places.LISTING).unlink(missing_ok=True)  # of a copy: it would not name what is written now
    if not (folder / "zarr.json").exists():
        with files.writing(folder):
            for path in folder.glob("*.partial"):
                path.unlink(missing_ok=True)
            arrays.create_root(folder)


def _differences(have: Manifest, want: Manifest) -> list[str]:
    found = []
    if have.dtype != want.dtype:
        found.append(f"stored as {have.dtype} instead of {want.dtype}")
    if have.revision != want.revision:
        found.append(f"revision {have.revision[:12]} instead of {want.revision[:12]}")
    if have.width != want.width:
        found.append(f"width {have.width} instead of {want.width}")
    for kind, a, b in (
        ("setting", have.settings, want.settings),
        ("library", have.libraries, want.libraries),
    ):
        names = [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
        found += [f"{kind} {name} {a.get(name)} instead of {b.get(name)}" for name in names]
    return found
