"""OpenSpliceAI as an encoder of one's own: a torch module written from its published layout.

Used as ``tests.encoder.openspliceai_encoder:OpenSpliceAI,file=FOLDER/model_80nt_rs10.pt``; the layout is
read off the state dict, so the 80, 400 and 10,000 nt files all load, strictly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

CHANNELS = 32
BATCH_POSITIONS = 32_768
# (kernel, dilation) of every four units
STAGES = ((11, 1), (11, 4), (21, 10), (41, 25))


class Unit(nn.Module):
    """Batch norm, leaky ReLU 0.1, convolution: twice, and the input on top."""

    def __init__(self, kernel: int, dilation: int) -> None:
        super().__init__()
        self.batchnorm1, self.batchnorm2 = nn.BatchNorm1d(CHANNELS), nn.BatchNorm1d(CHANNELS)
        padding = dilation * (kernel - 1) // 2
        self.conv1 = nn.Conv1d(CHANNELS, CHANNELS, kernel, dilation=dilation, padding=padding)
        self.conv2 = nn.Conv1d(CHANNELS, CHANNELS, kernel, dilation=dilation, padding=padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv1(nn.functional.leaky_relu(self.batchnorm1(x), 0.1))
        return x + self.conv2(nn.functional.leaky_relu(self.batchnorm2(h), 0.1))


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, CHANNELS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Network(nn.Module):
    """A 1x1 skip sum after every four units."""

    def __init__(self, num_stages: int) -> None:
        super().__init__()
        self.initial_conv = nn.Conv1d(4, CHANNELS, 1)
        self.initial_skip = Skip()
        units: list[nn.Module] = []
        for kernel, dilation in STAGES[:num_stages]:
            units += [*(Unit(kernel, dilation) for _ in range(4)), Skip()]
        self.residual_units = nn.ModuleList(units)
        self.final_conv = nn.Conv1d(CHANNELS, 3, 1)
        self.context = sum(4 * 2 * dilation * (kernel - 1) for kernel, dilation in STAGES[:num_stages])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, 4, length + context)`` to the skip sum ``(n, 32, length)``."""
        h = self.initial_conv(x)
        skip = self.initial_skip(h)
        for part in self.residual_units:
            if isinstance(part, Skip):
                skip = skip + part(h)
            else:
                h = part(h)
        half = self.context // 2
        return skip[:, :, half : skip.shape[2] - half]


class OpenSpliceAI:
    """Mean over the bases of the skip sum, cropped to the sequence."""

    width = CHANNELS

    def __init__(self, file: str) -> None:
        state = torch.load(file, map_location="cpu", weights_only=True)
        num_parts = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("residual_units."))
        self.network = Network(num_parts // 5)
        self.network.load_state_dict(state, strict=True)
        self.network.eval()

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        out = np.empty((len(sequences), self.width), dtype=np.float32)
        order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        while order:
            longest = len(sequences[order[0]])
            rows = order[: max(1, BATCH_POSITIONS // (longest + self.network.context))]
            order = order[len(rows) :]
            states = self.states([sequences[i] for i in rows])
            for row, state in zip(rows, states, strict=True):
                out[row] = state[:, : len(sequences[row])].mean(dim=1).numpy()
        return out

    @torch.inference_mode()
    def states(self, sequences: Sequence[str]) -> torch.Tensor:
        """``(n, 32, longest)``; positions past the end of a sequence mean nothing."""
        return self.network(self._inputs(sequences))

    @torch.inference_mode()
    def probabilities(self, sequences: Sequence[str]) -> np.ndarray:
        """``(n, 3, longest)``: none, acceptor, donor at every base."""
        return self.network.final_conv(self.states(sequences)).softmax(dim=1).numpy()

    def _inputs(self, sequences: Sequence[str]) -> torch.Tensor:
        half = self.network.context // 2
        longest = max(map(len, sequences))
        x = torch.zeros(len(sequences), 4, longest + 2 * half)  # N is all zero
        for row, sequence in enumerate(sequences):
            for channel, base in enumerate("ACGT"):
                letters = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8) == ord(base)
                x[row, channel, half : half + len(sequence)] = torch.from_numpy(letters.astype(np.float32))
        return x
