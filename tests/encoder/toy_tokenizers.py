"""Code of tokenizers in Python, as HyenaDNA, Caduceus, Evo, LucaOne and GENERator bring them."""

from __future__ import annotations

TOY_TOKENIZERS = '''
import itertools
import re
from transformers import PreTrainedTokenizer


class Letters(PreTrainedTokenizer):
    def __init__(self, **kwargs):
        self.words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "A", "C", "G", "T", "N"]
        super().__init__(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", **kwargs)

    @property
    def vocab_size(self):
        return len(self.words)

    def get_vocab(self):
        return {word: i for i, word in enumerate(self.words)}

    def _tokenize(self, text, **kwargs):
        return list(text)

    def _convert_token_to_id(self, token):
        return self.words.index(token) if token in self.words else 3

    def _convert_id_to_token(self, index):
        return self.words[index]

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return token_ids_0 + [2]

    def save_vocabulary(self, *args, **kwargs):
        return ()


class Gene(Letters):
    """As LucaOne's: called with seq_type, and slow to know transformers' other arguments."""

    def __call__(self, text, seq_type=None, add_special_tokens=True):
        if seq_type != "gene":
            raise ValueError("seq_type")
        ids = [self._convert_token_to_id(letter) for letter in text]
        return {"input_ids": [1, *ids, 2] if add_special_tokens else ids}


class Kmers(Letters):
    """As GENERator's: six letters a token, and BOS and EOS around."""

    def __init__(self, **kwargs):
        self.words = ["<oov>", "<s>", "</s>", "<pad>"] + ["".join(w) for w in itertools.product("ATCG", repeat=6)]
        PreTrainedTokenizer.__init__(
            self, unk_token="<oov>", bos_token="<s>", eos_token="</s>", pad_token="<pad>", **kwargs
        )

    def _tokenize(self, text, **kwargs):
        return re.findall("<s>|[A-Z]{6}|[A-Z]+", text)

    def _convert_token_to_id(self, token):
        return self.words.index(token) if token in self.words else 0

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [1] + token_ids_0 + [2]
'''
