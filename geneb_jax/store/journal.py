"""What an element says of itself: the manifest and the journal of commits, checked as they are read."""

from __future__ import annotations

from geneb_jax.errors import StoreError, UsageError
from geneb_jax.store import arrays, dtypes
from geneb_jax.store.format import DIGEST_BYTES, Commit, Manifest
from geneb_jax.store.places import Place


def read_manifest(root: Place, key: str) -> Manifest:
    """An element's manifest, compared with its recorded digest and the folder's name. Raises StoreError."""
    attributes = arrays.group_attributes(root, key)
    where = root / key
    arrays.check_type(attributes, "element", where)
    try:
        manifest = Manifest.from_json(attributes["manifest"], str(attributes["kind"]))
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise StoreError(
            f"the manifest is incomplete or malformed: {error!r}", where=str(where), cure=arrays.DAMAGED_CURE
        ) from error
    recorded = attributes.get("manifest_digest")
    if recorded != manifest.digest or not key.endswith(f"-{manifest.digest[:12]}"):
        raise StoreError(
            "the manifest is not the one this element was made with: its digest is "
            f"{manifest.digest[:12]}, recorded are {str(recorded)[:12]} and the folder's name",
            where=str(where / "zarr.json"),
            cure="the manifest was edited or the folder renamed; undo that, or embed again",
        )
    return manifest


def read_commits(array: arrays.Array, where: Place) -> list[Commit]:
    """The journal. Raises StoreError when it is malformed or does not add up to the array's rows."""
    entries = array.attributes.get("commits")
    try:
        if not isinstance(entries, list):
            raise TypeError("no list of commits")
        commits = [Commit.from_json(e) for e in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"the journal of commits is malformed: {error!r}",
            where=str(where / "embeddings" / "zarr.json"),
            cure=arrays.DAMAGED_CURE,
        ) from error
    total = sum(c.rows for c in commits)
    if total != array.shape[0]:
        raise StoreError(
            f"the journal counts {total} committed rows, but the array has {array.shape[0]}",
            where=str(where / "embeddings" / "zarr.json"),
            cure=arrays.DAMAGED_CURE,
        )
    return commits


def check_shapes(manifest: Manifest, vectors: arrays.Array, digests: arrays.Array, where: Place) -> None:
    """Raise StoreError unless the arrays are those of the manifest and fit each other."""
    if vectors.shape[1:] != (manifest.width,) or vectors.dtype != dtypes.STORED[manifest.dtype]:
        raise StoreError(
            f"the vectors are {vectors.dtype} of shape {vectors.shape}, but the manifest "
            f"says {manifest.dtype} of width {manifest.width}",
            where=str(where / "embeddings"),
            cure=arrays.DAMAGED_CURE,
        )
    if digests.rows < vectors.rows or digests.shape[1:] != (DIGEST_BYTES,):
        raise StoreError(
            f"there are {vectors.rows} vectors but digests of shape {digests.shape}",
            where=str(where / "digests"),
            cure=arrays.DAMAGED_CURE,
        )
