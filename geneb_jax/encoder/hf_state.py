"""Whether the model in memory is the one in the files: weights against the files, the rest against the class itself.

Transformers 5 makes a model without memory first and fills it from the files. What the files do not hold - buffers
that a constructor computes, plain tensors and arrays - is left as it happened to be where a class does not compute
it again. So the class is also built directly, on the processor. Where the two differ, the direct one is right and
goes on with the weights of the files; where two direct ones differ, nothing says what is right, and the model is
refused by the name of the part.
"""

from __future__ import annotations

import copy
import random
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geneb_jax.errors import EncoderError

_LARGE = 1 << 16  # parameters above this many numbers take no memory in a model that is built for its other parts
_DEEPEST = 4  # lists in dicts in objects of a module
_OLD_NAMES = ((".gamma", ".weight"), (".beta", ".bias"))

Build = Callable[[Any], Any]  # from a torch dtype to the model, built directly


def direct(build: Build, dtype: Any, seed: int = 0) -> Any:
    """A model made by its constructor, with real buffers; its large parameters hold nothing."""

    def shrink(module: Any, name: str, parameter: Any) -> Any:
        if parameter is None or parameter.numel() <= _LARGE:
            return None
        return torch.nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    hook = torch.nn.modules.module.register_module_parameter_registration_hook(shrink)
    try:
        with _seeded(seed):
            return build(dtype)
    finally:
        hook.remove()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Every generator of the process starts at `seed`, and is afterwards where it was."""
    python = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - code of others draws from it
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002


def faithful(
    model: Any,
    files: Sequence[Path],
    missing: Sequence[str],
    build: Build,
    first: Any | None,
    *,
    where: str,
    own_code: bool,
) -> Any:
    """The model with the weights of `files` and every other number as its class computes it. Raises EncoderError.

    ``missing`` are weights that are known to lack and that nothing reads; ``first`` is `direct`'s model, if there is
    one yet.
    """
    unread = frozenset(missing)
    from_files = _compare_with_files(model, files, where=where, own_code=own_code)
    others = {name: value for name, value in _state(model).items() if name not in from_files and name not in unread}
    if not others and not own_code:
        return model
    try:
        twin = first if first is not None else direct(build, model.dtype)
        if twin.dtype != model.dtype:
            twin = direct(build, model.dtype)
    except EncoderError as error:
        if not others:
            return model
        raise EncoderError(
            f"{_listed(others)} of {type(model).__name__} {_is(others)} not in the files, and the class cannot be "
            f"built directly to compute {'it' if len(others) == 1 else 'them'}: {error.what}",
            where=where,
            cure=error.cure,
        ) from error
    known = _state(twin)
    differ = [name for name, value in others.items() if not _same(value, known.get(name))]
    differ += [name for name in known if name not in _state(model)]
    if not differ and not own_code:
        return model
    if differ:
        again = _state(direct(build, model.dtype, seed=1))
        random_parts = [name for name in differ if not _same(known.get(name), again.get(name))]
        if random_parts:
            raise EncoderError(
                f"{_listed(random_parts)} of {type(model).__name__} {_is(random_parts)} not in the files and random: "
                "the class gives other numbers each time it is built",
                where=where,
                cure="get the files of the whole model, with this part saved; or let its code compute the part without "
                "chance (a fixed seed)",
            )
    return _adopted(model, twin, from_files | unread, where=where)


def _adopted(model: Any, twin: Any, given: frozenset[str], *, where: str) -> Any:
    """The directly built model with the loaded one's weights. Raises EncoderError where they do not fit."""
    weights = {name: value for name, value in model.state_dict().items() if name in given}
    try:
        strangers = twin.load_state_dict(weights, strict=False, assign=True).unexpected_keys
    except RuntimeError as error:
        raise _unlike(type(model), str(error).strip().splitlines()[-1].strip(), where=where) from error
    empty = [name for name, value in _state(twin).items() if isinstance(value, torch.Tensor) and value.is_meta]
    if strangers or empty:
        what = f"{empty[0]} is computed from weights" if empty else f"it has no {strangers[0]}"
        raise _unlike(type(model), what, where=where)
    return twin.eval()


def _unlike(cls: type, what: str, *, where: str) -> EncoderError:
    return EncoderError(
        f"{cls.__name__} built directly cannot take the weights of the files: {what}",
        where=where,
        cure="the part that is named is neither in the files nor follows from the configuration alone: save the model "
        "with it, or wrap the model in a class of your own: MODULE:CLASS",
    )


def _compare_with_files(model: Any, files: Sequence[Path], *, where: str, own_code: bool) -> frozenset[str]:
    """The names of weights that have the files' numbers, put right where own code changed them after loading."""
    state = model.state_dict(keep_vars=True)
    held = dict(_opened(files))
    prefix = f"{getattr(model, 'base_model_prefix', '') or ''}."
    taken: dict[str, Any] = {}
    changed = []
    for name, value in state.items():
        key = _key(name, prefix, held)
        if key is None:
            continue
        stored = held[key]()
        if tuple(stored.shape) != tuple(value.shape):
            continue
        stored = stored.to(value.dtype)
        taken[name] = value
        if not _same(value.detach(), stored):
            changed.append(name)
            if own_code:
                with torch.no_grad():
                    value.data.copy_(stored)
    converts = _converts(model)
    if changed and not own_code and not converts:
        raise EncoderError(
            f"{_listed(changed)} of {type(model).__name__} {_is(changed)} not what the files hold",
            where=where,
            cure="load the folder again; if it stays so, another version of transformers may read it right",
        )
    pointers = {value.data_ptr() for value in taken.values()}
    tied = {name for name, value in state.items() if value.data_ptr() in pointers}
    # weights that the library joins or splits as it reads them have other names in the files
    joined = {n for n, v in state.items() if isinstance(v, torch.nn.Parameter)} if converts and not own_code else set()
    return frozenset({*taken, *tied, *joined})


def _converts(model: Any) -> bool:
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping

        return bool(get_model_conversion_mapping(model, None, None))
    except Exception:  # not part of the library's stable surface
        return True


def _key(name: str, prefix: str, held: Mapping[str, object]) -> str | None:
    bases = [name, f"{prefix}{name}", name.removeprefix(prefix)]
    for base in bases:
        if base in held:
            return base
        for old, new in _OLD_NAMES:
            if base.endswith(new) and base.removesuffix(new) + old in held:
                return base.removesuffix(new) + old
    return None


def _opened(files: Sequence[Path]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names of tensors, and how to read each."""
    from safetensors import safe_open

    for file in files:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as reader:
                for key in reader.keys():  # noqa: SIM118 - no mapping
                    yield key, partial(_read, file, key)
        else:  # the restricted unpickler, which builds tensors and plain containers alone
            for key, value in torch.load(file, map_location="cpu", weights_only=True).items():
                if isinstance(value, torch.Tensor):
                    yield key, partial(_itself, value)


def _itself(value: Any) -> Any:
    return value


def _read(file: Path, key: str) -> Any:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as reader:
        return reader.get_tensor(key)


def _state(model: Any) -> dict[str, Any]:
    """Every tensor and array of a model by its path: parameters, all buffers, and what modules hold besides."""
    found: dict[str, Any] = dict(model.named_parameters(remove_duplicate=False))
    found.update(model.named_buffers(remove_duplicate=False))
    known = {id(value) for value in found.values()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") and (name in _INNER or name.endswith("_hooks")):
                continue
            for inner, one in _arrays(value, _DEEPEST):
                if id(one) not in known:
                    found[f"{path}.{name}{inner}".lstrip(".")] = one
    return found


_INNER = frozenset({"_parameters", "_buffers", "_modules", "_flat_weights", "_non_persistent_buffers_set"})


def _arrays(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        yield "", value
    elif depth and isinstance(value, (list, tuple)):
        for i, one in enumerate(value):
            yield from ((f".{i}{rest}", found) for rest, found in _arrays(one, depth - 1))
    elif depth and isinstance(value, Mapping):
        for key, one in value.items():
            yield from ((f".{key}{rest}", found) for rest, found in _arrays(one, depth - 1))
    elif depth and isinstance(value, types.FunctionType):
        for i, cell in enumerate(value.__closure__ or ()):
            yield from ((f".{i}{rest}", found) for rest, found in _arrays(cell.cell_contents, depth - 1))
    elif depth and _is_own_object(value):
        yield from _arrays(vars(value), depth - 1)


def _is_own_object(value: Any) -> bool:
    """Whether this is an object of the model's own code; its modules are met by themselves."""
    own = type(value).__module__.startswith("transformers_modules.") and hasattr(value, "__dict__")
    return own and not isinstance(value, torch.nn.Module)


def _same(a: Any, b: Any) -> bool:
    """Whether two tensors or arrays hold the same numbers; NaN is NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return False
    if a.is_meta or b.is_meta or a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = a.detach(), b.detach()
    if torch.equal(a, b):
        return True
    holes = a.isnan()
    return a.is_floating_point() and torch.equal(holes, b.isnan()) and torch.equal(a[~holes], b[~holes])


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    first = next(iter(names))
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more parts"


def _is(names: Sequence[str] | Mapping[str, object]) -> str:
    return "is" if len(names) == 1 else "are"


def fresh_copy(model: Any) -> Any:
    """A copy whose buffers and other state are its own, with the same parameters. None where it cannot be made."""
    shared = {id(tensor): tensor for tensor in model.parameters()}
    try:
        return copy.deepcopy(model, shared)
    except Exception:  # code of others, which may hold anything
        return None
