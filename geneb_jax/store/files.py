"""What Zarr leaves to us on a local disk: one writer at a time, syncing, and errors in the user's words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from geneb_jax.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PARTS_AT_ONCE = 64
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


class WriterLock:
    """An exclusive lock on one element. The operating system frees it when its process dies."""

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        from filelock import FileLock, Timeout

        self._note = folder / "writer.json"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # the lock belongs to the element, not to the thread that happened to open it
            self._lock = FileLock(folder / "writer.lock", thread_local=False)
            try:
                self._lock.acquire(timeout=max(wait, 0.0))
            except Timeout:
                raise StoreError(
                    f"another writer holds this element: {self._holder()}",
                    where=str(folder.parent),
                    cure="wait until it has finished, or stop it; reading is possible meanwhile",
                ) from None
        if not self._in_place(folder):
            self._lock.release()
            raise StoreError(
                "this element was repaired by another process meanwhile",
                where=str(folder.parent),
                cure="run the same command again",
            )
        with contextlib.suppress(OSError):  # a courtesy to the next writer, which a full disk may refuse
            self._note.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))

    def release(self) -> None:
        """Let the next writer in."""
        if self._lock.is_locked:
            # first the note, while it is still ours
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)
            self._lock.release()

    @property
    def held(self) -> bool:
        """Whether this object still holds the lock."""
        return bool(self._lock.is_locked)

    def _in_place(self, folder: Path) -> bool:
        """Whether the file we hold is still the one that other writers find."""
        handle = getattr(getattr(self._lock, "_context", None), "lock_file_fd", None)
        if not isinstance(handle, int):
            return True
        try:
            return os.path.samestat(os.fstat(handle), (folder / "writer.lock").stat())
        except FileNotFoundError:
            return False

    def _holder(self) -> str:
        try:
            note = json.loads(self._note.read_text())
            return f"process {note['pid']} on {note['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "a process that has not left its name"


@contextlib.contextmanager
def writing(where: os.PathLike[str], needed: int = 0) -> Iterator[None]:
    """Turn an operating system's refusal to write into a StoreError. ``needed`` is in bytes."""
    try:
        yield
    except OSError as error:
        raise write_error(error, where, needed) from error


def write_error(error: OSError, where: os.PathLike[str], needed: int = 0) -> StoreError:
    """The StoreError for a failed write."""
    rest = "Rows committed before are safe; run the same command again to go on."
    if error.errno in _FULL:
        return no_space(where, needed, free_bytes(where))
    if error.errno == errno.EFBIG:
        return StoreError(
            f"a file would be larger than this process may write ({human_bytes(needed)} to be written)",
            where=str(where),
            cure=f"raise the limit (`ulimit -f`) or choose a smaller --chunk-rows in a new store. {rest}",
        )
    if error.errno in _NOT_WRITABLE:
        return StoreError(
            f"this folder cannot be written to ({os.strerror(error.errno)})",
            where=str(where),
            cure="choose a folder you may write to, or change its permissions",
        )
    return StoreError(f"writing failed: {error}", where=str(where), cure=f"check the disk and the path. {rest}")


def no_space(where: os.PathLike[str], needed: int, free: int) -> StoreError:
    """The StoreError for a full disk; both sizes in bytes."""
    return StoreError(
        f"the disk is full: {human_bytes(needed) + ' are to be written and ' if needed else ''}"
        f"{human_bytes(free)} are free",
        where=str(where),
        cure="free some space or choose another disk, then run the same command again; "
        "rows committed before are safe and are not computed again",
    )


def require_writable(folder: Path) -> None:
    """Raise StoreError when an existing folder cannot be written to (permissions or a read-only disk)."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise write_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), folder)


def free_bytes(where: os.PathLike[str]) -> int:
    """Free bytes on the disk that holds a path, which need not exist yet."""
    folder = Path(where)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def human_bytes(count: int) -> str:
    """A size in bytes as people write it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def write_atomic(path: Path, parts: Sequence[Any]) -> None:
    """Write buffers to a file that appears, or replaces the one before, at one instant; it is synced, its name not."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            left = [memoryview(p).cast("B") for p in parts if len(p)]
            while left:
                done = os.writev(handle, left[:_PARTS_AT_ONCE])
                while left and done >= len(left[0]):
                    done -= len(left.pop(0))
                if done:
                    left[0] = left[0][done:]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def sync_files(files: list[Path]) -> None:
    """Make files and their names outlast a power failure."""
    for path in dict.fromkeys([*files, *sorted({p.parent for p in files})]):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep_partial(folder: Path) -> None:
    """Delete the temporary files that a killed writer left. Only for the holder of the lock."""
    for path in folder.rglob("*.partial"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def interrupt_later() -> Iterator[None]:
    """Hold back Ctrl-C until the block is done: Zarr writes in a thread that would outlive the exception."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
