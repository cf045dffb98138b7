"""Arrays of a Keras HDF5 file, read as plain numbers: no code in it is run, no link out of it is followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import EncoderError

INSTALL = "pip install 'geneb_jax[keras]'"


class H5File:
    """An open file. Made by `open_h5`."""

    def __init__(self, file: Any, path: Path, *, where: str) -> None:
        self._file, self._path, self._where = file, path, where

    def text(self, name: str) -> str | None:
        """An attribute of the file as text; None where it has none."""
        value = self._file.attrs.get(name)
        return value.decode("utf-8") if isinstance(value, bytes) else None if value is None else str(value)

    def texts(self, name: str) -> list[str]:
        """An attribute that lists names; empty where the file has none."""
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in self._file.attrs.get(name, ())]

    def layer(self, name: str, part: str) -> NumpyFloat:
        """float32 ``part`` (kernel, bias, gamma, ...) of a layer. Raises EncoderError where it is not there, or odd."""
        root = "model_weights/" if "model_weights" in self._file else ""
        group = self._descend(f"{root}{name}")
        # a layer that was renamed keeps its weights under the older name: name/name_1/kernel:0
        inner = [key for key in group if hasattr(group.get(key), "keys")]
        if len(inner) != 1:
            raise self._odd(f"layer {name} holds {len(inner)} groups of weights, not one")
        found = self._descend(f"{root}{name}/{inner[0]}/{part}:0")
        if not hasattr(found, "shape") or found.dtype != np.float32:
            raise self._odd(f"{part} of layer {name} is no array of float32")
        if found.external or found.is_virtual or found.nbytes > self._path.stat().st_size:
            raise self._odd(f"{part} of layer {name} is not held in the file itself")
        return np.asarray(found[()])

    def _descend(self, path: str) -> Any:
        import h5py

        here: Any = self._file
        for piece in path.split("/"):
            if not isinstance(here, h5py.Group) or not isinstance(here.get(piece, getlink=True), h5py.HardLink):
                raise self._odd(f"it has no {path}")
            here = here[piece]
        return here

    def _odd(self, what: str) -> EncoderError:
        return EncoderError(
            f"the weight file has another layout: {what}",
            where=f"{self._where}: {self._path}",
            cure="give a file of the network that this encoder is written for",
        )


@contextmanager
def open_h5(path: Path, *, where: str) -> Iterator[H5File]:
    """Open a Keras weight file for reading. Raises EncoderError where it cannot be read."""
    try:
        import h5py
    except ImportError as error:
        raise EncoderError("Keras weights need the package h5py", where=where, cure=INSTALL) from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise EncoderError(
            f"the weight file cannot be read: {error}", where=f"{where}: {path}", cure="give a Keras .h5 file"
        ) from error
    with file:
        yield H5File(file, path, where=where)
