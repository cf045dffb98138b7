"""Embedding whole tasks into a store against the official extractors' loop, on the same model and the same tasks."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.record import Check, Rival, Row, Shape
from benchmarks.rows.base import Bench, Context, assemble
from benchmarks.timing import Timed, seconds_of
from benchmarks.workloads import Size
from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder import Encoder, load_encoder
from geneb_jax.run.embedding import EmbedReport, embed, manifest_of
from geneb_jax.store import open_store
from geneb_jax.task import load_suite
from geneb_jax.task.info import Split, Suite, Task, TaskInfo

TOLERANCE = 1e-5
"""Largest ‖a − b‖ / ‖b‖ between our vectors and those of an unbatched float32 pass."""
UNBATCHED = 256
PART = 8
"""A rival's other settings are timed on every so many batches, and scaled."""
OFFICIAL_ROWS, MOST_ROWS = 4, 10

# 40 to 11,940 letters; the two iEnhancer tasks hold the same sequences, and others overlap
REAL_TASKS = {
    "geneb": ("leannmlindsey_GUE_mouse_3", "iDHS-EL_DNase_I", "iPro-WAEL_Promoter_B_amyloliquefaciens"),
    "more": (
        "iEnhancer2L_enhancers",
        "iEnhancer2L_types",
        "PreLnc_lncRNA_cow",
        "GLMap_sample_GUE_fungi_species_20",
        "GLMap_sample_GUE_virus_covid",
    ),
}
TOY_TASKS = ("splice_sites_donors", "splice_sites_all")
TOY_ROWS = 24


@dataclass(frozen=True)
class EmbedBench(Bench):
    """A row over several tasks; ``model`` is a folder of real models, or a random network made on the spot.

    ``compiled``: our side asks for `torch.compile`, at the real size only, since that alone takes half a minute.
    """

    model: str = "random-bert"
    compiled: bool = False

    def here(self, size: Size, data: Path | None) -> bool:
        """Whether its tasks and its model are on this machine."""
        if size == "toy":
            return not self.compiled
        if data is None or not (self.model == "random-bert" or (data.parent / "models" / self.model).is_dir()):
            return False
        return all((data / home / "tasks" / task).is_dir() for home, tasks in REAL_TASKS.items() for task in tasks)


@dataclass(frozen=True)
class _Joined:
    """Tasks of several suites under one roof, each split cut to its first rows."""

    homes: dict[str, Suite]
    rows: int | None
    source: str = "several suites"

    def present(self, info: TaskInfo) -> bool | None:
        return True

    def read(self, info: TaskInfo) -> Task:
        task = self.homes[info.id].load(info.id)
        parts = {n: Split.make(n, s.sequences[: self.rows], s.labels[: self.rows]) for n, s in task.splits.items()}
        return replace(task, splits=parts)


def join(size: Size, data: Path | None) -> Suite:
    """The row's tasks as one suite."""
    if size == "toy" or data is None:
        found = {task: load_suite("quickstart") for task in TOY_TASKS}
    else:
        suites = {home: load_suite(data / home) for home in REAL_TASKS}
        found = {task: suites[home] for home, tasks in REAL_TASKS.items() for task in tasks}
    infos = tuple(suite.info(task) for task, suite in found.items())
    return Suite("embed-throughput", "1", "several suites", infos, _Joined(found, TOY_ROWS if size == "toy" else None))


def random_bert(folder: Path, size: Size) -> Path:
    """A BERT with random weights that reads six letters at a time, as GENEB's BERT and ESM models do."""
    import itertools

    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"ACGTN", *map("".join, itertools.product("ACGT", repeat=6))]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("[ACGT]{6}|."), "isolated")
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    width, layers = (128, 4) if size == "real" else (32, 2)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=width, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=4 * width, max_position_embeddings=512, initializer_range=0.1, pad_token_id=0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=512, **names).save_pretrained(folder)
    return folder


class Official:
    """GENEB's default extractor: last hidden state, mean under the attention mask, special tokens counted."""

    def __init__(self, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self._model: Any = transformers.AutoModel.from_pretrained(folder).eval()
        self._limit = min(self._tokenizer.model_max_length, self._model.config.max_position_embeddings)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._tokenizer.padding_side = "right"

    def batch(self, sequences: Sequence[str]) -> NumpyFloat:
        """The vectors of one padded batch."""
        import torch

        inputs = self._tokenizer(
            list(sequences),
            padding=True,
            truncation=True,
            max_length=self._limit,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        with torch.no_grad():
            hidden = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        vectors: NumpyFloat = ((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)).cpu().numpy()
        return vectors

    def loop(self, splits: Sequence[Sequence[str]], rows: int, every: int = 1) -> list[NumpyFloat]:
        """One split after another in its own order, in batches of so many rows; of those, every so manieth."""
        found = []
        for sequences in splits:
            starts = range(0, len(sequences), rows)[::every]
            found.append(np.concatenate([self.batch(sequences[start : start + rows]) for start in starts]))
        return found


def throughput(context: Context, bench: Bench) -> Row:
    """Seconds for all vectors of all tasks: `embed` from files to a synced store, the loop from lists to arrays."""
    load = machine.load_average()
    assert isinstance(bench, EmbedBench)
    suite = join(context.size, context.data)
    tasks = [suite.load(task) for task in suite.ids]
    splits = [split.sequences for task in tasks for split in task.splits.values()]
    distinct = list(dict.fromkeys(s for sequences in splits for s in sequences))
    with tempfile.TemporaryDirectory() as folder:
        model = _model(bench, context, Path(folder))
        # the official mean counts special tokens, so ours does here: the same vectors are asked for
        encoder = load_encoder(f"hf:{model},special_tokens=true,device=cpu,compile={bench.compiled}")
        seconds, reports = [], []
        calls = 1 + (min(context.repeats, 3) if context.size == "real" else context.repeats)
        for number in range(calls):
            context.say(f"embed, call {number + 1} of {calls}")
            store = Path(folder) / f"{number}.zarr"
            elapsed, report = seconds_of(lambda store=store: embed(encoder, suite, store, progress=False))  # type: ignore[misc]
            seconds.append(elapsed)
            reports.append(report)
        official = Official(model)
        rival, theirs = _rival(context, official, splits)
        context.say("correctness against an unbatched pass")
        check = _check(Path(folder), reports, encoder, official, tasks, theirs, distinct)
    return _row(context, bench, tasks, len(distinct), seconds, reports, rival, check, load)


def _model(bench: EmbedBench, context: Context, folder: Path) -> Path:
    if bench.model == "random-bert" or context.size == "toy" or context.data is None:
        return random_bert(folder / "random-bert", context.size)
    return context.data.parent / "models" / bench.model


def _rival(context: Context, official: Official, splits: Sequence[Sequence[str]]) -> tuple[Rival, list[NumpyFloat]]:
    """The loop as shipped, in full; and at other batch sizes and thread numbers, on a part."""
    seconds: dict[str, float] = {}
    official.loop([splits[0][:OFFICIAL_ROWS]], OFFICIAL_ROWS)
    theirs: list[NumpyFloat] = []
    for label, rows, threads in _settings():
        context.say(f"official loop, {label}")
        with threads:
            if not theirs:
                seconds[f"as shipped, {label}"], theirs = seconds_of(lambda: official.loop(splits, OFFICIAL_ROWS))
                continue
            part, timed = seconds_of(lambda rows=rows: official.loop(splits, rows, PART))  # type: ignore[misc]
        done = sum(map(len, timed))
        seconds[label] = part * sum(map(len, splits)) / done
    rival = Rival(
        name="official extractor's loop",
        dtype="float32",
        seconds=seconds,
        as_shipped=next(iter(seconds.values())),
        best=min(seconds.values()),
        scaled=f"as shipped in full; the other settings on every {PART}th batch and scaled",
        note="sequences in memory to arrays in memory: reading and saving are left out",
    )
    return rival, theirs


def _settings() -> Iterator[tuple[str, int, contextlib.AbstractContextManager[None]]]:
    import torch

    shipped = torch.get_num_threads()
    for rows in (OFFICIAL_ROWS, MOST_ROWS):
        for threads in dict.fromkeys((shipped, 1)):
            yield f"batch {rows}, {threads} thread{'s' * (threads > 1)}", rows, _torch_threads(threads)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(
    folder: Path,
    reports: Sequence[EmbedReport],
    encoder: Encoder,
    official: Official,
    tasks: Sequence[Task],
    theirs: Sequence[NumpyFloat],
    distinct: Sequence[str],
) -> Check:
    """Our vectors against a pass of one sequence at a time, the counts, and every task's rows against the loop's."""
    trouble = []
    element = open_store(folder / f"{len(reports) - 1}.zarr").element(manifest_of(encoder.info))
    for report in reports:
        counted = (report.embedded_now, report.distinct, element.num_rows)
        if set(counted) != {len(distinct)}:
            trouble.append(f"{len(distinct)} sequences are distinct, and {counted} were embedded, counted and stored")
    ordered = sorted(distinct, key=len)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(UNBATCHED, len(ordered))).astype(int))
    chosen = [ordered[i] for i in places]
    exact = np.concatenate([official.batch([sequence]) for sequence in chosen])
    far = _relative(element.read(element.lookup(chosen)), exact)
    if (far > TOLERANCE).any():
        trouble.append(f"{(far > TOLERANCE).sum()} vectors are off by up to {far.max():.1e}, allowed {TOLERANCE:g}")
    worst, place = 0.0, iter(theirs)
    for task in tasks:
        for name in task.splits:
            index = element.split(task.id, name)
            worst = max(worst, float(_relative(element.read(index.rows), next(place)).max()))
            if not np.array_equal(index.labels, task.splits[name].labels):
                trouble.append(f"the labels of {task.id} {name} differ")
    if worst > 100 * TOLERANCE:  # their own batches round, too
        trouble.append(f"a task's vectors differ from the loop's by {worst:.1e}")
    return Check(
        ok=not trouble,
        reference="the same model on one sequence at a time, float32",
        reference_bound=0.0,
        gap=float(far.max()),
        rows_compared=len(chosen),
        rows_tied=0,
        rows_different=int((far > TOLERANCE).sum()),
        mcc_difference=0.0,
        trouble=trouble,
    )


def _relative(found: NumpyFloat, exact: NumpyFloat) -> NumpyFloat:
    gap = np.linalg.norm(found.astype(np.float64) - exact, axis=1)
    return np.asarray(gap / np.linalg.norm(exact.astype(np.float64), axis=1))


def _row(
    context: Context,
    bench: EmbedBench,
    tasks: Sequence[Task],
    distinct: int,
    seconds: Sequence[float],
    reports: Sequence[EmbedReport],
    rival: Rival,
    check: Check,
    load: float | None,
) -> Row:
    timed = Timed(None, seconds[0], tuple(seconds[1:]))
    n = sum(len(task.train) for task in tasks)
    total = sum(len(split) for task in tasks for split in task.splits.values())
    assert rival.as_shipped is not None
    assert rival.best is not None
    last = reports[-1]
    measures = {
        "tasks": float(len(tasks)),
        "sequences": float(total),
        "distinct": float(distinct),
        "our_sequences_per_s": total / timed.median,
        "our_embedded_per_s": distinct / timed.median,
        "rival_sequences_per_s": total / rival.as_shipped,
        "ratio_best_without_dedupe": rival.best / timed.median * distinct / total,
        "ratio_best_of_first_call": rival.best / timed.first,
        **{f"{name}_s": value for name, value in last.seconds.items()},
        **{f"{name}_behind_s": value for name, value in last.behind.items()},
    }
    return assemble(
        context,
        bench,
        Shape(name=bench.workload_name(context.size), n=n, m=total - n, d=last.width, k=0, lanes=0),
        timed,
        check,
        rivals=[rival],
        measures=measures,
        bytes_X=4 * distinct * last.width,
        load=load,
    )
