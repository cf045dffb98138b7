"""Names that come from a file, an address or somebody else's run, and the folder that they must stay in.

Every such name goes through `confined` before it becomes a path. What the user types is the user's own choice and
does not; neither do names that this package makes itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from geneb_jax.errors import DataError, GenebError

MOST_BYTES: Final = 255
"""Of one part of a path: what the usual file systems take."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def confined(
    folder: Path, name: str, *, what: str = "name", links: bool = False, error: type[GenebError] = DataError
) -> Path:
    """The path of `name` inside `folder`; `what` says in an error what kind of name it is.

    With `links` a link inside the folder may lead out of it, as those of a cache of downloads do; use it for reading
    alone.

    Raises:
        GenebError: of type `error`, where the name leads out of the folder or is none that a file can have everywhere.
    """
    problem, cure = why_not(name), "get the files from where you trust them"
    if problem is None:
        path = folder / name
        if links or path.resolve().is_relative_to(folder.resolve()):
            return path
        problem, cure = "leads through a link to a place outside", "put the files themselves in place of the link"
    raise error(
        f"this {what} {problem}: {short(name)}",
        where=str(folder),
        cure=f"nothing was read from or written to the place it names; {cure}",
    )


def why_not(name: object) -> str | None:
    """What keeps a name (with / between its parts) from being used below a folder, in words; None: nothing does."""
    if not isinstance(name, str):
        return "is no text"
    try:
        encoded = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:
        return "holds letters that cannot be written down"
    parts = name.split("/")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "holds a control character"
    if name.startswith("/") or _DRIVE.match(name):
        return "is a full path, and only names inside the folder are allowed"
    if "\\" in name:
        return "holds a backslash"
    if ".." in parts:
        return "leads out of the folder"
    if "" in parts or "." in parts:
        return "is empty or has an empty part"
    if any(part[-1] in ". " for part in parts):
        return "ends in a dot or a space, which some systems leave off"
    if any(len(part) > MOST_BYTES for part in encoded):
        return f"is longer than the {MOST_BYTES} bytes that a file's name may have"
    if any(_DEVICES.fullmatch(part) for part in parts):
        return "is a device's name on some systems"
    return None


def why_not_one(name: object) -> str | None:
    """`why_not` for a name of one part."""
    return "has several parts" if isinstance(name, str) and "/" in name and not why_not(name) else why_not(name)


def short(name: object, most: int = 80) -> str:
    """A name as it may be printed."""
    text = ascii(name)
    return text if len(text) <= most else f"{text[:most]}…"
