"""Keras weight files for the tests: small random ones in the published layouts, and a plain NumPy reading of them.

`run_graph` follows the ``model_config`` of a file layer by layer, so it knows nothing of the layout; `deepac` is the
network of DeePaC-vir step by step, whose files hold no configuration.
"""

from __future__ import annotations

import json

import h5py
import numpy as np


def one_hot(sequence):
    return np.array([[letter == base for base in "ACGT"] for letter in sequence], np.float64).reshape(-1, 4)


def conv(x, kernel, bias, *, dilation=1, padding="same"):
    reach = dilation * (len(kernel) - 1)
    if padding == "same":
        x = np.pad(x, ((reach // 2, reach - reach // 2), (0, 0)))
    size = len(x) - reach
    return sum(x[i * dilation : i * dilation + size] @ kernel[i] for i in range(len(kernel))) + bias


def run_graph(path, x, wanted):
    """The outputs of all layers up to ``wanted`` for ``x`` (positions, 4), by their own configuration, in float64."""
    with h5py.File(path) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        weights = {}

        def collect(name, item):
            if isinstance(item, h5py.Dataset):
                weights.setdefault(name.split("/")[1], {})[name.split("/")[-1][:-2]] = item[()].astype(np.float64)

        file.visititems(collect)
    done, waiting = {}, list(layers)
    while wanted not in done:
        layer = next(
            v for v in waiting if all(n[0] in done for n in (v["inbound_nodes"][0] if v["inbound_nodes"] else []))
        )
        waiting.remove(layer)
        name, c = layer["config"]["name"], layer["config"]
        given = [done[node[0]] for node in (layer["inbound_nodes"][0] if layer["inbound_nodes"] else [])]
        w = weights.get(name, {})
        if layer["class_name"] == "InputLayer":
            out = x
        elif layer["class_name"] == "Conv1D":
            out = conv(given[0], w["kernel"], w["bias"], dilation=c["dilation_rate"][0], padding=c["padding"])
            if c["activation"] == "softmax":
                out = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
        elif layer["class_name"] == "BatchNormalization":
            out = (given[0] - w["moving_mean"]) / np.sqrt(w["moving_variance"] + c["epsilon"]) * w["gamma"] + w["beta"]
        elif layer["class_name"] == "Activation":
            assert c["activation"] == "relu"
            out = np.maximum(given[0], 0)
        elif layer["class_name"] == "Add":
            out = given[0] + given[1]
        else:
            assert layer["class_name"] == "Cropping1D"
            out = given[0][c["cropping"][0] : len(given[0]) - c["cropping"][1]]
        done[name] = out
    return done


def crop_and_classes(path):
    """Names of the layers that give the cropped skip sum and the three classes."""
    with h5py.File(path) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    crop = next(v["config"] for v in layers if v["class_name"] == "Cropping1D")
    return crop["name"], layers[-1]["config"]["name"], crop["cropping"][0]


def write_splice(path, stages=((11, 1),), seed=0):
    """A random SpliceAI of the given stages, as Keras 2.0.5 wrote it."""
    rng = np.random.default_rng(seed)
    layers, numbers = [], {}
    with h5py.File(path, "w") as file:

        def add(kind, config, parents, **arrays):
            base = {"Conv1D": "conv1d", "BatchNormalization": "batch_normalization"}.get(kind, kind.lower())
            numbers[base] = numbers.get(base, 0) + 1
            name = f"{base}_{numbers[base]}"
            nodes = [[[parent, 0, 0, {}] for parent in parents]] if parents else []
            layers.append({"class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes})
            for part, array in arrays.items():
                file[f"model_weights/{name}/{name}/{part}:0"] = array.astype(np.float32)
            return name

        def convolution(parent, num_in, num_out, kernel=1, dilation=1, activation="linear"):
            config = {
                "kernel_size": [kernel], "dilation_rate": [dilation], "activation": activation,
                "padding": "same" if kernel > 1 else "valid",
            }  # fmt: skip
            array = rng.normal(size=(kernel, num_in, num_out)) / np.sqrt(kernel * num_in)
            return add("Conv1D", config, [parent], kernel=array, bias=rng.normal(size=num_out) / 5)

        first = convolution(add("InputLayer", {}, []), 4, 32)
        skip, here = convolution(first, 32, 32), first
        for kernel, dilation in stages:
            for _ in range(4):
                unit = here
                for _ in range(2):
                    shape = {part: rng.uniform(0.5, 1.5, 32) for part in ("gamma", "moving_variance")}
                    shift = {part: rng.normal(size=32) / 5 for part in ("beta", "moving_mean")}
                    unit = add("BatchNormalization", {"epsilon": 1e-3}, [unit], **shape, **shift)
                    unit = add("Activation", {"activation": "relu"}, [unit])
                    unit = convolution(unit, 32, 32, kernel, dilation)
                here = add("Add", {}, [unit, here])
            skip = add("Add", {}, [skip, convolution(here, 32, 32)])
        half = sum(4 * d * (k - 1) for k, d in stages)
        crop = add("Cropping1D", {"cropping": [half, half]}, [skip])
        convolution(crop, 32, 3, activation="softmax")
        config = {"class_name": "Model", "config": {"layers": layers}}
        file.attrs["model_config"] = json.dumps(config).encode()


DEEPAC_LAYERS = (
    "input_1 dropout reverse_complement_conv1d_input_1 conv1d reverse_complement_conv1d_output_1 concatenate "
    "activation average_pooling1d reverse_complement_conv1d_input_2 conv1d_1 reverse_complement_conv1d_output_2 "
    "concatenate_1 activation_1 global_average_pooling1d split_merging_dense_input_rc_1 "
    "split_merging_dense_input_fwd_1 reverse_merging_dense_input_1 dense add activation_2 dropout_1 dense_1 "
    "activation_3 dropout_2 dense_2 activation_4"
)


def write_deepac(path, filters=6, dense=5, seed=0):
    """A random, narrow DeePaC-vir CNN, as its package ships it: weights and names of layers only."""
    rng = np.random.default_rng(seed)
    shapes = {
        "conv1d": (15, 4, filters), "conv1d_1": (15, 2 * filters, filters), "dense": (filters, dense),
        "dense_1": (dense, dense), "dense_2": (dense, 1),
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in DEEPAC_LAYERS.split()]
        for name, shape in shapes.items():
            inner = f"{name}_1" if name in ("conv1d_1", "dense_1") else name
            kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
            file[f"{name}/{inner}/kernel:0"] = kernel.astype(np.float32)
            file[f"{name}/{inner}/bias:0"] = (rng.normal(size=shape[-1]) / 2).astype(np.float32)


def deepac(path, read):
    """Second dense layer and score of one read, in float64."""
    with h5py.File(path) as file:
        groups = {name: next(iter(file[name].values())) for name in file if len(file[name])}
        w = {
            name: [group[f"{p}:0"][()].astype(np.float64) for p in ("kernel", "bias")] for name, group in groups.items()
        }
    x = np.zeros((250, 4))
    x[: len(read)] = one_hot(read)

    def both(x, kernel, bias):
        forward, reverse = conv(x, kernel, bias), conv(x[::-1, ::-1], kernel, bias)
        return np.maximum(np.concatenate([forward, reverse[::-1, ::-1]], axis=1), 0)

    x = both(x, *w["conv1d"])
    x = (x[0::2] + x[1::2]) / 2
    x = both(x, *w["conv1d_1"]).mean(axis=0)
    half = len(x) // 2
    x = np.maximum(x[:half] @ w["dense"][0] + x[half:][::-1] @ w["dense"][0] + 2 * w["dense"][1], 0)
    x = np.maximum(x @ w["dense_1"][0] + w["dense_1"][1], 0)
    return x, (1 / (1 + np.exp(-(x @ w["dense_2"][0] + w["dense_2"][1]))))[0]
