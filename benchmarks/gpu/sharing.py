"""torch and JAX on one device in one process: the embedding gives its memory back before the fit takes its own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gpu.steps import FailedCheckError, Figures, Setting, SkippedError, Step
from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import free_memory
from geneb_kernels.gram import weighted_gram
from geneb_kernels.products import times, times_transposed

SHARE = 0.5
"""Part of the device's memory that each of the two takes in turn: together all of it."""

LEFT_BEHIND = 256 << 20
"""Bytes of torch's that may stay: the libraries' own."""


def one_process(setting: Setting) -> Figures:
    """Vectors from a torch model, then a fit in JAX, which starts without taking memory ahead."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise SkippedError("torch is not installed") from error
    if setting.gpu and not torch.cuda.is_available():
        raise SkippedError("torch sees no CUDA device: a build for CPU, or another driver")
    where = torch.device("cuda" if setting.gpu else "cpu")
    before = _in_use()
    X = _embed(torch, where)
    figures: dict[str, Any] = {"jax_bytes_before": before}
    total = torch.cuda.get_device_properties(0).total_memory if setting.gpu else 0
    if setting.gpu:
        ballast = torch.empty(int(SHARE * total), dtype=torch.uint8, device=where)
        figures["torch_bytes_while_embedding"] = int(torch.cuda.memory_reserved())
        del ballast
    free_memory()
    if setting.gpu:
        figures["torch_bytes_after"] = int(torch.cuda.memory_reserved())
        if figures["torch_bytes_after"] > LEFT_BEHIND:
            raise FailedCheckError("torch keeps memory that the fit needs", figures)
        own = jnp.zeros(int((SHARE + 0.2) * total) // 4, jnp.float32)
        figures["jax_bytes_at_most"] = int(own.nbytes)
        own.delete()
    # least squares stands for any fit: what is asked is whether one finds its memory
    sign = jnp.asarray(1.0 - 2.0 * (np.arange(len(X)) % 2), jnp.float32)
    A = jnp.asarray(X)
    coef = jnp.linalg.solve(
        weighted_gram(A, jnp.ones(len(X))) + jnp.eye(X.shape[1]), times_transposed(A, sign[:, None])
    )
    figures["right"] = float(jnp.mean(jnp.sign(times(A, coef)[:, 0]) == sign))
    if not figures["right"] > 0.9:
        raise FailedCheckError("the fit of separable vectors failed", figures)
    return figures


def _embed(torch: Any, where: Any) -> NumpyFloat:
    """Vectors (240, 32) of a random torch model; every second sequence has letters of its own."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(4, 16), torch.nn.Flatten(1), torch.nn.Linear(16 * 50, 32)).to(where)
    tokens = torch.randint(0, 2, (240, 50))
    tokens[1::2] += 2
    with torch.inference_mode():
        return np.asarray(model(tokens.to(where)).float().cpu().numpy())


def _in_use() -> int:
    """Bytes that JAX holds on the device; 0 where it does not say."""
    statistics = jax.devices()[0].memory_stats() or {}
    return int(statistics.get("bytes_reserved", 0) or statistics.get("pool_bytes", 0))


STEPS = [Step("torch and JAX share", "the embedding frees its memory before the fit takes its own", one_process)]
