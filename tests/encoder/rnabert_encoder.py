"""RNABERT as an encoder of one's own: a raw torch state dict and a JSON file, no Hugging Face folder.

Used as ``tests.encoder.rnabert_encoder:RNABert,folder=FOLDER``; the folder holds RNABERT.pth and
RNA_bert_config.json. A worked example of wrapping weights that ``hf:`` cannot load by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

PAD, MASK = 0, 1
TOKENS = {"A": 2, "U": 3, "T": 3, "G": 4, "C": 5}  # vocabulary: pad, mask, A, U, G, C
BATCH_TOKENS = 16_384


class RNABert:
    """Mean over the bases of the last layer; the first 440 bases are read, N is read as the mask token."""

    def __init__(self, folder: str) -> None:
        told = json.loads((Path(folder) / "RNA_bert_config.json").read_text())
        state = torch.load(Path(folder) / "RNABERT.pth", map_location="cpu", weights_only=True)
        config = BertConfig(
            vocab_size=told["vocab_size"],
            hidden_size=state["bert.embeddings.word_embeddings.weight"].shape[1],
            num_hidden_layers=told["num_hidden_layers"],
            num_attention_heads=told["num_attention_heads"],
            intermediate_size=told["intermediate_size"],
            hidden_act=told["hidden_act"],
            max_position_embeddings=told["max_position_embeddings"],
            type_vocab_size=told["type_vocab_size"],
            pad_token_id=PAD,
        )
        self.model = BertModel(config, add_pooling_layer=False)
        self.model.load_state_dict(_renamed(state), strict=True)
        self.model.eval()
        self.width = config.hidden_size
        self.limit = config.max_position_embeddings

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        ids = [[TOKENS.get(base, MASK) for base in s[: self.limit]] for s in sequences]
        out = np.empty((len(ids), self.width), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        while order:
            rows = order[: max(1, BATCH_TOKENS // len(ids[order[0]]))]
            order = order[len(rows) :]
            out[rows] = self._forward([ids[i] for i in rows])
        return out

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]]) -> np.ndarray:
        longest = max(map(len, ids))
        tokens = torch.tensor([row + [PAD] * (longest - len(row)) for row in ids])
        mask = tokens != PAD
        hidden = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return (hidden.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True)).numpy()


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keys of the encoder under transformers' names; the heads and the pooler stay behind."""
    return {
        key.removeprefix("bert.")
        .replace("attention.selfattn", "attention.self")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): value
        for key, value in state.items()
        if key.startswith(("bert.embeddings.", "bert.encoder."))
    }
