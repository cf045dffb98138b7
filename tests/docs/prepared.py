"""What the commands of the documentation find in their folder: small suites, stores, runs and a model, by name.

Each is made once for all pages, when the first page names it, and copied into the folder of every page that does.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.docs.pages import ALL
from tests.docs.shell import geneb
from tests.run.helpers import write_task

# real names of GENEB's tasks, with made-up sequences: two categories
TASKS = (
    "leannmlindsey_GUE_prom_core_tata",
    "InstaDeepAI_nucleotide_transformer_downstream_tasks_splice_sites_all",
)


class Prepared:
    """Makes and keeps the things that pages name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._makers: dict[str, Callable[[Path], None]] = {
            "geneb": _official_layout,
            "my-suite": lambda at: write_task(at, "my_task"),
            "geneb-quickstart": _quickstart,
            "RUN": lambda at: self._geneb_run(at, "kmer:3,counts=true", "composition"),
            "OTHER-RUN": lambda at: self._geneb_run(at, "onehot:24"),
            "STORE": lambda at: shutil.copytree(self._made("RUN") / "store", at),
            "OTHER-STORE": lambda at: shutil.copytree(self._made("OTHER-RUN") / "store", at),
            "my-model": _tiny_bert,
        }

    def put(self, code: str, folder: Path) -> None:
        """Copy what the code names into the folder; the official layout goes to every page, as ``GENEB_DATA``."""
        for name in self._makers:
            if name == "geneb" or re.search(rf"(?<![\w.-]){name}(?![\w-])", code):
                shutil.copytree(self._made(name), folder / name)

    def _made(self, name: str) -> Path:
        at = self._root / name
        if not at.exists():
            self._makers[name](at)
        return at

    def _geneb_run(self, at: Path, *encoders: str) -> None:
        data = str(self._made("geneb"))
        _run("run", *encoders, "--suite", "geneb", "--data", data, "--out", str(at))


def _official_layout(at: Path) -> None:
    for seed, task in enumerate(TASKS):
        write_task(at, task, seed=seed, n=40)


def _quickstart(at: Path) -> None:
    """The real one where all is run; else the same suite and files, with little to fit."""
    few = ("kmer:2,counts=true", "kmer:3,counts=true", "--suite", "quickstart", "--tasks", "*donors")
    _run(
        *(("quickstart",) if ALL else ("run", *few, "--regimes", "10shot")),
        "--out",
        str(at),
    )


def _run(*arguments: str) -> None:
    out, err, code = geneb(list(arguments), ".", {})
    # 4: fits of data as small as these may predict one class only
    if code not in (0, 4):
        raise AssertionError(f"geneb {' '.join(arguments)}: status {code}\n{out}\n{err}")


def _tiny_bert(at: Path) -> None:
    """A BERT of random weights over single letters, in the hub's folder layout."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"ACGT"]
    words = Tokenizer(models.WordLevel({token: i for i, token in enumerate(letters)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, letters.index(token)) for token in ("[CLS]", "[SEP]")]
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(letters), max_position_embeddings=128, **sizes)).save_pretrained(at)
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=words, **marks).save_pretrained(at)
