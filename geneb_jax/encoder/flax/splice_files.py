"""Reading published weights of SpliceAI's layout, strictly: OpenSpliceAI's torch files, SpliceAI's Keras files.

The dilations are in no torch file, and follow from the number of stages; everything that a file does say, down to
every shape, has to agree with the layout. Torch's restricted reader builds arrays and nothing else, so a pickle
that holds code is refused; Keras files are read as arrays too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.flax.h5 import H5File, open_h5
from geneb_jax.encoder.flax.splice import STAGES, UNITS_PER_STAGE, Layout, expected_shapes
from geneb_jax.errors import EncoderError

TORCH_FILES = (".pt", ".pth", ".safetensors")
KERAS_FILES = (".h5", ".hdf5")
_PARTS_PER_STAGE = UNITS_PER_STAGE + 1  # the units and their skip


def read_weights(path: Path, *, where: str) -> tuple[Layout, dict[str, NumpyFloat]]:
    """Layout and parameters of a weight file by its suffix. Raises EncoderError."""
    if path.suffix in KERAS_FILES:
        with open_h5(path, where=where) as file:
            layout, read = _keras(file, path, where=where)
            return layout, _checked(layout, read, path, where=where)
    if path.suffix not in TORCH_FILES:
        raise EncoderError(
            f"{path.name} is no weight file",
            where=where,
            cure=f"give one that ends in {', '.join((*TORCH_FILES, *KERAS_FILES))}",
        )
    layout, read = _torch(path, where=where)
    return layout, _checked(layout, read, path, where=where)


def _checked(layout: Layout, read: Callable[[str], NumpyFloat], path: Path, *, where: str) -> dict[str, NumpyFloat]:
    found = {}
    for name, shape in expected_shapes(layout).items():
        array = read(name)
        if array.shape != shape:
            raise _odd(path, f"{name} is {array.shape}, not {shape}", where=where)
        found[name] = array
    return found


def _odd(path: Path, what: str, *, where: str) -> EncoderError:
    return EncoderError(
        f"the weights are not of SpliceAI's layout: {what}",
        where=f"{where}: {path}",
        cure="give the state dict of an OpenSpliceAI model (80, 400, 2,000 or 10,000 nt), or SpliceAI's .h5 file",
    )


def _torch(path: Path, *, where: str) -> tuple[Layout, Callable[[str], NumpyFloat]]:
    state = _torch_state(path, where=where)
    parts = {int(m[1]) for key in state if (m := re.match(r"residual_units\.(\d+)\.", str(key)))}
    num_stages, rest = divmod(len(parts), _PARTS_PER_STAGE)
    if rest or not 1 <= num_stages <= len(STAGES) or max(parts) != len(parts) - 1:
        raise _odd(path, f"it has {len(parts)} residual parts, not 5, 10, 15 or 20", where=where)
    layout = Layout(num_stages, epsilon=1e-5, slope=0.1)
    names = {_torch_name(name): name for name in expected_shapes(layout)}
    unread = sorted(str(k) for k in state if k not in names and not str(k).endswith("num_batches_tracked"))
    if unread:
        raise _odd(path, f"it also holds {unread[0]}", where=where)

    def read(name: str) -> NumpyFloat:
        key = _torch_name(name)
        if key not in state:
            raise _odd(path, f"it has no {key}", where=where)
        tensor = state[key]
        # the shape first: a few bytes can state any size
        if tuple(tensor.shape)[:1] > (64,) or tensor.ndim > 3:
            raise _odd(path, f"{key} is {tuple(tensor.shape)}", where=where)
        array = np.asarray(tensor.detach().float().numpy() if hasattr(tensor, "detach") else tensor, dtype=np.float32)
        return array.transpose(2, 1, 0) if name.endswith(".kernel") and array.ndim == 3 else array

    return layout, read


def _torch_name(name: str) -> str:
    """``units.5.norm1.scale`` here is ``residual_units.6.batchnorm1.weight`` there: each fifth part is a skip."""
    pieces = name.split(".")
    if pieces[0] == "units":
        unit = int(pieces[1])
        head = f"residual_units.{unit + unit // UNITS_PER_STAGE}.{pieces[2].replace('norm', 'batchnorm')}"
    elif pieces[0] == "skips":
        stage = int(pieces[1])
        head = f"residual_units.{stage * _PARTS_PER_STAGE - 1}.conv" if stage else "initial_skip.conv"
    else:
        head = {"first": "initial_conv", "last": "final_conv"}[pieces[0]]
    tail = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    return f"{head}.{tail.get(pieces[-1], pieces[-1])}"


def _torch_state(path: Path, *, where: str) -> dict[str, Any]:
    cure = "pip install 'geneb_jax[hf]'"
    if path.suffix == ".safetensors":
        try:
            from safetensors.numpy import load_file
        except ImportError as error:
            raise EncoderError("these weights need the package safetensors", where=where, cure=cure) from error
        try:
            return dict(load_file(path))
        except Exception as error:  # safetensors has an error class of its own
            raise _odd(path, f"safetensors cannot read it: {error}", where=where) from error
    try:
        import torch
    except ImportError as error:
        raise EncoderError("a torch state dict needs torch to be read", where=where, cure=cure) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken or hostile pickle raises can be anything
        raise EncoderError(
            f"torch's restricted reader refuses the file: {str(error).strip().splitlines()[0]}",
            where=f"{where}: {path}",
            cure="give a plain state dict, as OpenSpliceAI publishes; a file that holds code is never run",
        ) from error
    if not isinstance(state, dict) or not all(hasattr(v, "ndim") for v in state.values()):
        raise _odd(path, "it is no state dict", where=where)
    return state


def _keras(file: H5File, path: Path, *, where: str) -> tuple[Layout, Callable[[str], NumpyFloat]]:
    try:
        layers = json.loads(file.text("model_config") or "")["config"]["layers"]
        convs = _by_number([x for x in layers if x["class_name"] == "Conv1D"])
        norms = _by_number([x for x in layers if x["class_name"] == "BatchNormalization"])
        slopes = {x["config"]["activation"] for x in layers if x["class_name"] == "Activation"}
        geometry = [(x["config"]["kernel_size"][0], x["config"]["dilation_rate"][0]) for x in convs]
        epsilons = {float(x["config"]["epsilon"]) for x in norms}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _odd(path, f"its model_config cannot be read ({error})", where=where) from error
    # in the order in which they were made: first, skip; per stage eight convolutions and a skip; last
    num_stages, rest = divmod(len(convs) - 3, 2 * UNITS_PER_STAGE + 1)
    fits = rest == 0 and 1 <= num_stages <= len(STAGES) and len(norms) == 2 * UNITS_PER_STAGE * num_stages
    one = (1, 1)
    wanted = [one, one, *(g for stage in STAGES[:num_stages] for g in (*[stage] * 2 * UNITS_PER_STAGE, one)), one]
    if not fits or geometry != wanted or slopes != {"relu"} or len(epsilons) != 1:
        raise _odd(path, "its layers are others", where=where)
    layout = Layout(num_stages, epsilon=epsilons.pop(), slope=0.0)
    tail = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}

    def read(name: str) -> NumpyFloat:
        pieces = name.split(".")
        if pieces[0] == "units":
            unit, second = int(pieces[1]), pieces[2].endswith("2")
            if pieces[2].startswith("norm"):
                return file.layer(norms[2 * unit + second]["config"]["name"], tail[pieces[3]])
            place = 2 + 2 * unit + second + unit // UNITS_PER_STAGE
        elif pieces[0] == "skips":
            stage = int(pieces[1])
            place = 1 + stage * (2 * UNITS_PER_STAGE + 1)
        else:
            place = {"first": 0, "last": len(convs) - 1}[pieces[0]]
        return file.layer(convs[place]["config"]["name"], pieces[-1])

    return layout, read


def _by_number(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(layers, key=lambda layer: int(str(layer["config"]["name"]).rpartition("_")[2]))
