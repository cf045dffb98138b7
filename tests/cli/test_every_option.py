# ruff: noqa: E501  (a table of command lines)
"""Every option of every command changes something, arrives where it is used, or is refused: none is ignored.

A new option needs an entry below, or the first test fails.
"""

from __future__ import annotations

import importlib
import inspect
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from geneb_jax import published
from geneb_jax.cli.main import app, main
from geneb_jax.encoder.load import load_encoder
from geneb_jax.errors import GenebError
from geneb_jax.run.embedding import embed
from geneb_jax.run.probing import probe
from geneb_jax.task import load_suite
from tests.run.helpers import blobs, write_store, write_task


@dataclass(frozen=True)
class Differs:
    """The line with these words added says, writes or ends with something else."""

    line: str
    words: str


@dataclass(frozen=True)
class Arrives:
    """The option's value reaches an argument of a function that has tests of its own."""

    line: str
    function: str
    argument: str
    value: Any


@dataclass(frozen=True)
class Refused:
    """The option would change nothing here, and the command says so."""

    line: str
    told: str = "has no effect"
    status: int = 2


Entry = Differs | Arrives | Refused

PROBE = "geneb_jax.run.probing:probe"
WHOLE = "geneb_jax.run.whole:embed_and_probe"
SUITES = "geneb_jax.task:load_suite"
FIT = "probe STORE --out OUT/run"
EMBED = "embed kmer:2 --suite SUITE --store OUT/s"
VIEWS = "geneb_jax.run.embedding:embed_views"
BOARD = "analyse --json"
RESAMPLED = {"--source": "--source draws", "--level": "--level 0.8", "--resamples": "--resamples 200",
             "--seed": "--seed 7", "--groups": "--groups GROUPS"}  # fmt: skip


def probing(command: str, function: str) -> dict[str, list[Entry]]:
    """Entries of the options that say which probes are fitted, for the command line `command`."""

    def arrives(words: str, argument: str, value: Any) -> list[Entry]:
        return [Arrives(f"{command} {words}", function, argument, value)]

    idle = [
        ("--solver newton --engine sklearn", "--solver"), ("--solver newton --probe knn", "--solver"),
        ("--x64 --engine sklearn", "--x64"), ("--memory-budget 1GB --engine sklearn", "--memory-budget"),
        ("--key 3", "--key"), ("--C 2 --probe knn,ridge:alpha=4", "--C"),
    ]  # fmt: skip
    found = {
        "--draws": [*arrives("--draws 7", "draws", 7), Refused(f"{command} --draws 7 --seeds 1", "both given")],
        "--seeds": arrives("--seeds 1,2", "seeds", [1, 2]),
        "--key": arrives("--key 3 --draws 9", "key", 3),
        "--probe": [Refused(f"{command} --probe no-such-probe", "no-such-probe")],
        "--C": [Refused(f"{command} --C x", "--C takes a number")],
        "--engine": arrives("--engine sklearn", "engine", "sklearn"),
        "--solver": arrives("--solver newton-cg", "solver", "newton-cg"),
        "--x64": arrives("--x64", "dtype", "float64"),
        "--memory-budget": arrives("--memory-budget 2GB", "memory_budget", 2_000_000_000),
    }
    for words, option in idle:
        found[option].append(Refused(f"{command} {words}", "has no effect"))
    return found


def resampled(line: str, refused: str = "") -> dict[str, list[Entry]]:
    """Entries of the resampling options, shown by `line`, and refused in the line `refused`."""
    found: dict[str, list[Entry]] = {option: [Differs(line, words)] for option, words in RESAMPLED.items()}
    if refused:
        for option, words in RESAMPLED.items():
            found[option].append(Refused(f"{refused} {words}"))
    return found


def of_a_page(command: str) -> dict[str, list[Entry]]:
    """Entries of what `geneb report` and `geneb site` share, which is one function."""
    line, make = f"{command} RUN --out OUT/page", f"geneb_jax.cli.{command}:make_content"
    board, points = f"{command} --published --out OUT/page", f"{command} RUN --no-intervals --out OUT/page"
    values: dict[str, tuple[str, Any]] = {
        "--published": ("published", True), "--no-intervals": ("no_intervals", True),
        "--source rows": ("source", "rows"), "--regimes full": ("regimes", "full"), "--metric accuracy": ("metric", "accuracy"),
        "--level 0.8": ("level", 0.8), "--resamples 200": ("resamples", 200), "--seed 7": ("seed", 7),
        "--sizes paper": ("version", "paper"), "--size kmer:1=5": ("own_sizes", ("kmer:1=5",)),
    }  # fmt: skip
    found: dict[str, list[Entry]] = {
        words.split()[0]: [Arrives(f"{line} {words}", make, *value)] for words, value in values.items()
    }
    for name in ("sensitivity", "audit", "groups"):
        found[f"--{name}"] = [Arrives(f"{line} --{name} GROUPS", make, name, "GROUPS")]
    for words in ("--source rows", "--regimes full", "--level 0.8", "--resamples 200", "--seed 7", "--groups near"):
        found[words.split()[0]] += [Refused(f"{board} {words}"), Refused(f"{points} {words}")]
    for words in ("--audit GROUPS", "--no-intervals", "--metric mcc", "--size a=5"):
        found[words.split()[0]].append(Refused(f"{board} {words}"))
    return found | {"--out": [Differs(f"{command} RUN --no-intervals", "--out OUT/page")]}


STATS = {
    "bootstrap": "bootstrap RUN --resamples 100 --json",
    "compare": "compare RUN --resamples 100 --json",
    "curves": "curves RUN --resamples 100 --json",
    "plan": "plan RUN --detect 0.1 --resamples 100 --json",
    "leakage": "leakage RUN --suite SUITE --resamples 100 --json",
}


def of_statistics(command: str) -> dict[str, list[Entry]]:
    """Entries of what the commands on the predictions of runs share."""
    line = STATS[command]
    found = resampled(line)
    found["--resamples"] = [Differs(line.replace("--resamples 100", "--resamples 300"), "--resamples 100")]
    found["--regimes"] = [Differs(line, "--regimes full,2shot"), Refused(f"{line} --regimes 7shot", "7shot", 3)]
    found["--metric"] = [Differs(line, "--metric accuracy")]
    found["--json"] = [Differs(line.replace(" --json", ""), "--json")]
    found["--suite"] = [Differs(f"{line} --groups near", "--suite SUITE")]
    found["--data"] = [Arrives(f"{line} --suite geneb --groups near --data SUITE", SUITES, "data", "SUITE")]
    if command == "plan":
        del found["--source"]
        for words in (
            "--regimes full",
            "--resamples 200",
            "--seed 1",
            "--groups near",
            "--suite a",
            "--data a",
            "--metric mcc",
        ):
            found[words.split()[0]].append(Refused(f"plan --detect 0.1 --sd-draws 0.1 {words}"))
        return found
    found["--groups"].append(Refused(f"{line} --source draws --groups GROUPS"))
    if command == "leakage":
        found["--suite"] = [Differs("leakage RUN --resamples 100", "--suite SUITE")]
        found["--data"] = [Arrives("leakage RUN --suite geneb --data SUITE", SUITES, "data", "SUITE")]
        return found
    found["--suite"].append(Refused(f"{line} --suite SUITE"))
    found["--data"].append(Refused(f"{line} --data SUITE"))
    found["--scope"] = [Differs(line, "--scope micro"), Refused(f"{line} --scope ,", "no scope was named")]
    return found


SUBMISSION = "export RUN --model kmer:1 --out OUT/e"
GIVEN = {
    "--model-id": ("me", "model_id"), "--display": ("Me", "display"), "--url": ("https://a.b", "url"),
    "--training-data": ("none", "training_data"), "--submitted-by": ("me", "submitted_by"),
}  # fmt: skip
PARITY = "geneb_jax.run.parity:compare"
BUILD = "geneb_jax.report.submission.build:build_submission"
STUDY = "geneb_jax.stats.sensitivity.analysis:analyse"
READ = "sensitivity RUN --resamples 100"

TABLE: dict[str, dict[str, list[Entry]]] = {
    "quickstart": {
        "--out": [Arrives("quickstart --out OUT/q", WHOLE, "out", "OUT/q")],
        "--json": [Arrives("quickstart --json --out OUT/q", WHOLE, "progress", False)],
    },
    "tasks": {
        "--suite": [Differs("tasks", "--suite quickstart")],
        "--data": [Differs("tasks", "--data SUITE"), Refused("tasks --suite SUITE --data SUITE", "--data belongs to")],
        "--tasks": [Differs("tasks", "--tasks *prom*")],
        "--audit": [Differs("tasks --suite SUITE", "--audit")],
        "--near": [Differs("tasks --suite SUITE --audit --json", "--near"), Refused("tasks --near", "a part of the audit")],
        "--against": [
            Differs("tasks --suite SUITE --audit --json", "--against OTHER"),
            Refused("tasks --against OTHER", "a part of the audit"),
        ],
        "--offline": [Arrives("tasks --offline", "geneb_jax.cli.tasks:load_suite", "offline", True)],
        "--json": [Differs("tasks --suite SUITE", "--json")],
    },
    "encoders": {
        "--search": [Differs("encoders", "--search plant"), Refused("encoders kmer --search plant", "without a name")],
        "--architecture": [
            Differs("encoders", "--architecture Mamba"),
            Refused("encoders kmer --architecture Mamba", "without a name"),
        ],
        "--check": [Differs("encoders kmer:1", "--check"), Refused("encoders --check")],
        "--json": [Differs("encoders kmer", "--json")],
    },
    "embed": {
        "--suite": [Arrives(EMBED, SUITES, "name_or_path", "SUITE")],
        "--store": [Arrives(EMBED, VIEWS, "store_path", "OUT/s")],
        "--tasks": [Refused(f"{EMBED} --tasks no-such-task", "no-such-task", 3)],
        "--data": [Arrives(f"{EMBED} --data SUITE", SUITES, "data", "SUITE"), Refused(f"{EMBED} --data SUITE", "--data")],
        "--layers": [Refused(f"{EMBED} --layers mid", "no layers and poolings"),
                     Arrives(f"{EMBED} --layers mid,last", "geneb_jax.encoder.views:load_views", "layers", ["mid", "last"])],
        "--pooling": [Refused(f"{EMBED} --pooling max", "no layers and poolings"),
                      Arrives(f"{EMBED} --pooling max", "geneb_jax.encoder.views:load_views", "poolings", ["max"])],
        "--offline": [Arrives(f"{EMBED} --offline", SUITES, "offline", True)],
        "--trust-remote-code": [Arrives("embed hf:MODEL --suite SUITE --store OUT/s --trust-remote-code",
                                        "geneb_jax.encoder.views:load_views", "options", {"trust_remote_code": True})],
        "--no-check": [Arrives(f"{EMBED} --no-check", VIEWS, "check", False)],
        "--allow-unread": [Arrives(f"{EMBED} --allow-unread", VIEWS, "allow_unread", True)],
        "--chunk-rows": [Arrives(f"{EMBED} --chunk-rows 8", VIEWS, "chunk_rows", 8),
                         Refused("embed kmer:1 --suite SUITE --store REAL --chunk-rows 8", "--chunk-rows has no effect")],
        "--compression": [Arrives(f"{EMBED} --compression zstd", VIEWS, "compression", "zstd"),
                          Refused("embed kmer:1 --suite SUITE --store REAL --compression zstd", "--compression has no effect")],
        "--stored-as": [Arrives(f"{EMBED} --stored-as float16", VIEWS, "stored_as", "float16")],
        "--quiet": [Arrives(f"{EMBED} --quiet", VIEWS, "progress", False)],
    },
    "probe": {
        **probing(FIT, PROBE),
        "--suite": [Arrives(f"{FIT} --suite SUITE", SUITES, "name_or_path", "SUITE")],
        "--data": [Arrives(f"{FIT} --data SUITE", SUITES, "data", "SUITE")],
        "--tasks": [Arrives(f"{FIT} --tasks a,b", PROBE, "tasks", ["a", "b"])],
        "--regimes": [Arrives(f"{FIT} --regimes full,2shot", PROBE, "regimes", ["full", "2shot"])],
        "--standardize": [Differs(f"{FIT} --engine sklearn --regimes full --json", "--standardize")],
        "--balanced": [Differs(f"{FIT} --engine sklearn --regimes full --json", "--balanced"),
                       Refused(f"{FIT} --balanced --probe knn", "are for the logistic probe")],
        "--no-intercept": [Differs(f"{FIT} --engine sklearn --regimes full --json", "--no-intercept"),
                           Refused(f"{FIT} --no-intercept --probe knn", "are for the logistic probe")],
        "--preset": [Arrives(f"{FIT} --preset reference", PROBE, "preset", "reference")],
        "--out": [Arrives(FIT, PROBE, "out", "OUT/run")],
        "--json": [Arrives(f"{FIT} --json", PROBE, "progress", False)],
    },
}  # fmt: skip

RUN = "run kmer:1 --suite SUITE --out OUT/run"
TABLE |= {
    "run": {
        **probing(RUN, WHOLE),
        "--suite": [Arrives(RUN, SUITES, "name_or_path", "SUITE")],
        "--data": [Arrives(f"{RUN} --data SUITE", SUITES, "data", "SUITE"), Refused(f"{RUN} --data SUITE", "--data")],
        "--tasks": [Arrives(f"{RUN} --tasks a,b", WHOLE, "tasks", ["a", "b"])],
        "--regimes": [Arrives(f"{RUN} --regimes full,2shot", WHOLE, "regimes", ["full", "2shot"])],
        # what these three make of a probe is shown by `geneb probe`, whose options they share
        "--standardize": [Refused(f"{RUN} --standardize --probe nothing", "nothing")],
        "--balanced": [Refused(f"{RUN} --balanced --probe knn", "are for the logistic probe")],
        "--no-intercept": [Refused(f"{RUN} --no-intercept --probe knn", "are for the logistic probe")],
        "--out": [Arrives(RUN, WHOLE, "out", "OUT/run")],
        "--store": [Arrives(f"{RUN} --store OUT/s", WHOLE, "store", "OUT/s")],
        "--control": [Arrives(f"{RUN} --control di", "geneb_jax.task:Control", "kind", "di"),
                      Arrives(f"{RUN} --control di --key 3", "geneb_jax.task:Control", "key", 3)],
        "--offline": [Arrives(f"{RUN} --offline", SUITES, "offline", True)],
        "--trust-remote-code": [Arrives(f"{RUN} --trust-remote-code", WHOLE, "trust_remote_code", True)],
        "--allow-unread": [Arrives(f"{RUN} --allow-unread", WHOLE, "allow_unread", True)],
        "--json": [Arrives(f"{RUN} --json", WHOLE, "progress", False)],
    },
    "store show": {
        "--digest": [Differs("store show STORE", "--digest")],
        "--json": [Differs("store show STORE", "--json")],
    },
    "store merge": {
        "--into": [Differs("store merge STORE", "--into OUT/s")],
        "--conflicts": [Differs("store merge STORE CONTRARY --into OUT/s --json", "--conflicts keep")],
        "--json": [Differs("store merge STORE --into OUT/s", "--json")],
    },
    "store copy": {},
    "store export": {
        "--format": [Differs("store export STORE --out OUT/f", "--format safetensors")],
        "--out": [Differs("store export STORE --format safetensors", "--out OUT/f")],
        "--encoder": [Differs("store export REAL --format safetensors --out OUT/f", "--encoder kmer:1")],
    },
    "store import": {
        "--into": [Differs("store import FILE", "--into OUT/s")],
        "--conflicts": [
            Arrives("store import FILE --into OUT/s --conflicts keep", "geneb_jax.store.exchange:import_file", "conflicts", "keep")
        ],
        "--json": [Differs("store import FILE --into OUT/s", "--json")],
    },
    "bootstrap": {
        **of_statistics("bootstrap"),
        "--method": [Differs(STATS["bootstrap"], "--method percentile"),
                     Refused("bootstrap RUN --source tasks --method basic")],
    },
    "compare": {
        **of_statistics("compare"),
        "--pairs": [Differs("compare RUN --resamples 100", "--pairs"), Refused("compare RUN --pairs --json"),
                    Refused("compare RUN --pairs --published"), Refused("compare RUN --pairs --gain")],
        "--gain": [Differs("compare RUN --resamples 100", "--gain"), Refused("compare RUN --gain --json"),
                   Refused("compare RUN --gain --published")],
        "--within": [Differs(STATS["compare"], "--within 0.1"), Refused("compare RUN --within nan", "--within"),
                     Refused("compare RUN --within 0.1 --published"), Refused("compare RUN --within 0.1 --gain")],
        "--task-test": [Differs("compare --published --regimes full --json", "--task-test mean"),
                        Refused("compare RUN --task-test mean")],
        "--published": [Refused("compare --published --source rows"), Refused("compare --published --gain"),
                        Differs("compare RUN --resamples 100", "--published"),
                        Refused("compare RUN --published --metric accuracy", "published scores are MCC"),
                        Refused("compare RUN --published --scope macro")],
    },
    "plan": {
        **of_statistics("plan"),
        "--detect": [Differs(STATS["plan"].replace(" --detect 0.1", ""), "--detect 0.2")],
        "--power": [Differs(STATS["plan"], "--power 0.9")],
        "--among": [Differs(STATS["plan"], "--among 9")],
        "--disagree": [Differs("plan --detect 0.1", "--disagree 0.2"), Refused("plan RUN --detect 0.1 --disagree 0.2", "not both")],
        "--sd-draws": [Differs("plan --detect 0.1", "--sd-draws 0.2"), Refused("plan RUN --detect 0.1 --sd-draws 0.2", "not both")],
        "--sd-tasks": [Differs("plan --detect 0.1", "--sd-tasks 0.2"), Refused("plan RUN --detect 0.1 --sd-tasks 0.2", "not both")],
    },
    "curves": {
        **of_statistics("curves"),
        "--reach": [Differs(STATS["curves"], "--reach 0.1")],
        "--chance": [Arrives("curves RUN --resamples 100 --chance 0.5", "geneb_jax.stats.stability:enough_draws", "chance", 0.5)],
    },
    "leakage": {
        **of_statistics("leakage"),
        "--tasks": [Differs(STATS["leakage"], "--tasks TASK")],
        "--near": [Differs(STATS["leakage"], "--no-near")],
        "--write-groups": [Differs(STATS["leakage"], "--write-groups OUT/g.csv")],
    },
    "sensitivity": {
        **probing("sensitivity REAL --out OUT/run", PROBE),
        "--probe": [Arrives("sensitivity REAL --out OUT/run", PROBE, "regimes", ["1shot", "5shot", "10shot", "full"]),
                    Refused("sensitivity RUN --probe knn")],
        "--appendix-e": [Arrives("sensitivity REAL --out OUT/run --appendix-e", PROBE, "regimes", ["1shot", "10shot", "full"]),
                         Refused("sensitivity RUN --appendix-e")],
        "--suite": [Arrives("sensitivity REAL --out OUT/run --suite SUITE", SUITES, "name_or_path", "SUITE"),
                    Refused("sensitivity RUN --suite SUITE")],
        "--data": [Arrives("sensitivity REAL --out OUT/run --data SUITE", SUITES, "data", "SUITE"),
                   Refused("sensitivity RUN --data SUITE")],
        "--tasks": [Arrives("sensitivity REAL --out OUT/run --tasks a,b", PROBE, "tasks", ["a", "b"]),
                    Refused("sensitivity RUN --tasks a")],
        "--shots": [Arrives("sensitivity REAL --out OUT/run --shots 2,full", PROBE, "regimes", ["2shot", "full"]),
                    Refused("sensitivity RUN --shots 1")],
        "--standardize": [Refused("sensitivity REAL --out OUT/run --shots full --standardize no", "nothing"),
                          Refused("sensitivity RUN --standardize no")],
        "--pooling": [Refused("sensitivity REAL --out OUT/run --pooling mean", "one view only"),
                      Refused("sensitivity RUN --pooling mean")],
        "--layer": [Refused("sensitivity REAL --out OUT/run --layer mid", "one view only"),
                    Refused("sensitivity RUN --layer mid")],
        "--preset": [Arrives("sensitivity REAL --out OUT/run --preset reference", PROBE, "preset", "reference"),
                     Refused("sensitivity RUN --preset reference")],
        "--top": [Arrives(f"{READ} --top 2", STUDY, "top", 2)],
        "--source": [Arrives(f"{READ} --source rows", STUDY, "source", "rows")],
        "--metric": [Arrives(f"{READ} --metric accuracy", STUDY, "metric", "accuracy")],
        "--level": [Arrives(f"{READ} --level 0.8", STUDY, "level", 0.8)],
        "--resamples": [Arrives(READ, STUDY, "resamples", 100)],
        "--seed": [Arrives(f"{READ} --seed 7", STUDY, "seed", 7)],
        "--groups": [Arrives(f"{READ} --groups GROUPS", "geneb_jax.cli.resampling:read_groups", "path", "GROUPS")],
        "--out": [Refused("sensitivity REAL", "needs a run directory"), Differs(READ, "--out OUT/s")],
        "--out-markdown": [Differs(READ, "--out-markdown OUT/s.md")],
        "--details": [Differs(READ, "--details"), Refused(f"{READ} --json --details")],
        "--json": [Differs(READ, "--json")],
    },
    "analyse": {
        **resampled("analyse RUN --what wins,variance --resamples 100 --json", refused="analyse"),
        "--published": [Differs("analyse RUN --what wins --resamples 100 --json", "--published"),
                        Refused("analyse --published")],
        "--what": [Differs(BOARD, "--what wins"), Refused("analyse --what ,", "no analysis was named")],
        "--regime": [Differs("analyse --what wins", "--regime 1shot"), Refused("analyse --what few-shot --regime 1shot")],
        "--few": [Differs("analyse --what few-shot", "--few 1shot"), Refused("analyse --what wins --few 1shot")],
        "--sizes": [Differs("analyse --what pareto", "--sizes paper"), Refused("analyse --what wins --sizes paper")],
        "--size": [Differs("analyse RUN --what pareto --resamples 100", "--size kmer:1=5 --size kmer:2=9"),
                   Refused("analyse --size a=5", "there is none")],
        "--ratio": [Differs("analyse --what reversals", "--ratio 2"), Refused("analyse --what wins --ratio 2")],
        "--in-domain": [Differs("analyse --what reversals", "--in-domain all"),
                        Refused("analyse --what wins --in-domain all")],
        "--labels": [Differs("analyse --what pairs", "--labels actual"), Refused("analyse --what wins --labels actual")],
        "--ddof": [Differs("analyse --what variance", "--ddof 0"), Refused("analyse --what wins --ddof 0")],
        "--edges": [Differs("analyse --what graph", "--edges EDGES"), Refused("analyse --what wins --edges EDGES")],
        "--metric": [Refused("analyse --metric accuracy"),
                     Refused("analyse RUN --metric accuracy", "published scores are MCC")],
        "--json": [Differs("analyse --what wins", "--json")],
    },
    "recommend": {
        **resampled("recommend RUN --resamples 100 --json", refused="recommend"),
        "--level": [Differs("recommend RUN --resamples 100 --json", "--level 0.8"), Differs("recommend", "--level 0.5")],
        "--category": [Differs("recommend", "--category splice")],
        "--regime": [Differs("recommend", "--regime 1shot")],
        "--max-params": [Differs("recommend", "--max-params 50M")],
        "--max-memory": [Differs("recommend", "--max-memory 1GB")],
        "--precision": [Differs("recommend", "--precision half")],
        "--licence": [Differs("recommend", "--licence permissive")],
        "--within": [Differs("recommend", "--within 0.5")],
        "--count": [Differs("recommend", "--count 1"), Refused("recommend --json --count 1")],
        "--sizes": [Differs("recommend --count 40", "--sizes paper")],
        "--size": [Differs("recommend RUN --resamples 100", "--size kmer:1=5 --max-params 10"),
                   Refused("recommend --size a=5", "there is none")],
        "--metric": [Refused("recommend --metric accuracy"),
                     Refused("recommend RUN --metric accuracy", "published scores are MCC")],
        "--json": [Differs("recommend", "--json")],
    },
    "export": {
        **{option: [Arrives(f"{SUBMISSION} {option} {value}", BUILD, "given", {argument: value}),
                    Refused(f"{SUBMISSION} --format mteb {option} {value}"), Refused(f"export --check FILE {option} {value}")]
           for option, (value, argument) in GIVEN.items() if option != "--model-id"},
        "--model-id": [Arrives(f"{SUBMISSION} --model-id me", BUILD, "model_id", "me"),
                       Refused(f"{SUBMISSION} --format mteb --model-id me")],
        "--params": [Arrives(f"{SUBMISSION} --params 5M", BUILD, "given", {"params": 5_000_000}),
                     Refused(f"{SUBMISSION} --format mteb --params 5M")],
        "--zero-shot": [Arrives(f"{SUBMISSION} --zero-shot", BUILD, "given", {"zero_shot": True}),
                        Refused(f"{SUBMISSION} --format mteb --zero-shot")],
        "--format": [Differs(SUBMISSION, "--format mteb"), Refused("export --check FILE --format mteb")],
        "--out": [Differs("export RUN --model kmer:1 --format mteb", "--out OUT/e"), Refused("export --check FILE --out OUT/e")],
        "--model": [Differs("export RUN --format mteb --out OUT/e", "--model kmer:1"), Refused("export --check FILE --model a")],
        "--check": [Differs("export", "--check SUBMISSION"), Refused("export RUN --check SUBMISSION")],
        "--json": [Differs("export --check SUBMISSION", "--json")],
    },
    "report": {
        **of_a_page("report"),
        "--format": [Differs("report RUN --no-intervals --out OUT/r --format csv", "--format markdown"),
                     Refused("report RUN --out OUT/r --format ,", "no format was named")],
        "--figures": [Arrives("report RUN --no-intervals --format csv --out OUT/r --figures svg",
                              "geneb_jax.report.web.figures:write_figures", "ending", "svg")],
    },
    "site": of_a_page("site"),
    "verify": {
        "--repair": [Differs("verify STORE", "--repair")],
        "--json": [Differs("verify STORE", "--json")],
    },
    "doctor": {
        "--parity": [Arrives("doctor --parity STORE", PARITY, "dtype", "float32")],
        "--tasks": [Arrives("doctor --parity STORE --tasks a", PARITY, "tasks", ["a"]), Refused("doctor --tasks a")],
        "--x64": [Arrives("doctor --parity STORE --x64", PARITY, "dtype", "float64"), Refused("doctor --x64")],
        "--stock": [Arrives("doctor --parity STORE --stock", PARITY, "stock", True), Refused("doctor --stock")],
        "--json": [Arrives("doctor --parity STORE --json", "geneb_jax.cli.doctor:_parity", "as_json", True)],
    },
}  # fmt: skip
TABLE["report"]["--audit"].append(Refused("report RUN --format csv --audit FILE --out OUT/r"))
TABLE["report"]["--sensitivity"].append(Refused("report RUN --format csv --sensitivity FILE --out OUT/r"))
for _name in ("--probe", "--C", "--draws", "--seeds", "--key", "--engine", "--solver", "--x64", "--memory-budget"):
    _words = {"--x64": "", "--engine": "sklearn", "--solver": "newton", "--probe": "knn"}.get(_name, "1")
    TABLE["sensitivity"][_name].append(Refused(f"sensitivity RUN {_name} {_words}".strip()))


def options_of(command: click.Command, path: str, context: click.Context) -> Iterator[tuple[str, str]]:
    """Every command below this one, with each option's first name; --help and --version are click's."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options_of(below, f"{path} {name}".strip(), context)
        return
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield path, parameter.opts[0]


EVERY = list(options_of(app, "", click.Context(app)))


def test_every_option_has_an_entry_and_every_entry_an_option() -> None:
    entries = {(command, option) for command, held in TABLE.items() for option, of in held.items() if of}
    assert set(EVERY) == entries


class World:
    """Small data of every kind, and commands run on them in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tasks = [task.id for task in published.tasks()[:3]]
        self.names: dict[str, str] = {"TASK": tasks[0]}
        for name in ("SUITE", "OTHER", "STORE", "CONTRARY", "REAL", "RUN", "GROUPS", "EDGES", "FILE", "SUBMISSION"):
            self.names[name] = str(folder / name.lower())
        for i, task in enumerate(tasks):
            write_task(folder / "suite", task, seed=i, n=24)
        leak = folder / "suite" / "tasks" / tasks[0]
        rows = (leak / "train.csv").read_text().splitlines()
        with (leak / "test.csv").open("a") as file:
            file.write(f"{rows[1]}\n{'T' if rows[2][0] != 'T' else 'A'}{rows[2][1:]}\n")
        write_task(folder / "other", "another", seed=0, n=24)
        write_store(folder / "store", {"a": blobs(1, n=12), "b": blobs(2, n=12)})
        with_other = blobs(1, n=12)
        write_store(folder / "contrary", {"a": (with_other[0] + 1, *with_other[1:])})
        suite = load_suite(folder / "suite")
        for spec in ("kmer:1", "kmer:2", "kmer:3"):
            embed(load_encoder(spec), suite, folder / "real", progress=False)
        probe([folder / "real"], suite, folder / "run", regimes=["full", "1shot", "2shot"], draws=5, engine="sklearn",
              progress=False)  # fmt: skip
        groups = [f"{task},{row},{row // 2}" for task in tasks for row in range(len(suite.load(task).test.sequences))]
        (folder / "groups").write_text("\n".join(["task,row,group", *groups]) + "\n")
        board = list(published.leaderboard("full"))
        (folder / "edges").write_text(f"model,baseline\n{board[0]},{board[1]}\n{board[1]},{board[2]}\n")
        (folder / "submission").write_text("{}")
        self._count = 0
        self._before: dict[str, Any] = {}
        self.outcome(f"store export STORE --format safetensors --out {folder / 'file'}")

    def words(self, line: str, out: Path) -> list[str]:
        """The words of a line with the places filled in."""
        names = {**self.names, "OUT": str(out)}
        return [re.sub(r"[A-Z]{3,}", lambda m: names.get(m[0], m[0]), word) for word in line.split()]

    def outcome(self, line: str) -> tuple[int, str, str, dict[str, bytes]]:
        """Exit status, what was printed and complained, and the files written, without times and places."""
        self._count += 1
        out = self.folder / f"out{self._count}"
        out.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(out)
            status, said, complained = run(self.words(line, out))
        files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        return status, plain(said, out), plain(complained, out), files

    def before(self, line: str) -> tuple[int, str, str, dict[str, bytes]]:
        """The outcome of a line without the option, which is the same each time."""
        if line not in self._before:
            first, again = self.outcome(line), self.outcome(line)
            assert shape(first) == shape(again)
            self._before[line] = first
        found: tuple[int, str, str, dict[str, bytes]] = self._before[line]
        return found


def run(words: list[str]) -> tuple[int, str, str]:
    """Exit status, output and complaints of a command in this process."""
    said, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(complained), pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0), said.getvalue(), complained.getvalue()


def plain(text: str, out: Path) -> str:
    """Text without the folder and without lines of times, which no option decides."""
    return "\n".join(
        line for line in text.replace(str(out), "OUT").splitlines() if not re.search(r"(?i)seconds|time|began|\d s\b", line)
    )  # fmt: skip


def shape(outcome: tuple[int, str, str, dict[str, bytes]]) -> tuple[int, str, str, list[object]]:
    """What is compared: of files the names, and what tables hold."""
    status, said, complained, files = outcome
    held: list[object] = [(name, data) if name.endswith((".csv", ".md")) else name for name, data in files.items()]
    return status, said, complained if status else "", held


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def differs(world: World, entry: Differs) -> None:
    before, after = shape(world.before(entry.line)), shape(world.outcome(f"{entry.line} {entry.words}"))
    assert after != before
    # a difference in what was accepted, not a complaint about the new words
    assert after[0] in (0, 4, before[0]) or entry.words == "--check SUBMISSION", after[2]


class StopError(GenebError):
    """Ends a command where what was looked for has arrived."""


def arrives(world: World, entry: Arrives, out: Path) -> None:
    module, _, name = entry.function.partition(":")
    real = getattr(importlib.import_module(module), name)
    seen: dict[str, Any] = {}

    def spy(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(real).bind_partial(*args, **kwargs)
        seen.update(bound.arguments)
        for part in bound.arguments.values():
            if isinstance(part, dict):
                seen.update({key: value for key, value in part.items() if key not in seen})
        raise StopError("it has arrived")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.{name}", spy)
        patch.chdir(out)
        status, _, complained = run(world.words(entry.line, out))
    assert "it has arrived" in complained, complained
    assert status == 3
    found = seen[entry.argument]
    wanted = entry.value
    if isinstance(wanted, dict):
        assert {key: found[key] for key in wanted} == wanted
        return
    if isinstance(wanted, str):
        wanted, found = world.words(wanted, out)[0], str(found)
    assert (list(found) if isinstance(wanted, list) else found) == wanted


def refused(world: World, entry: Refused, out: Path) -> None:
    status, _, complained = run(world.words(entry.line, out))
    assert entry.told in complained, complained
    assert status in {entry.status, 3 if entry.told != "has no effect" else entry.status}
    assert {path.name for path in out.iterdir()} <= {"s"}  # an empty store, opened to see that it can be


@pytest.mark.parametrize("command", sorted({command for command, _ in EVERY}))
def test_no_option_is_ignored(command: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    faults = []
    for option, entries in TABLE.get(command, {}).items():
        for entry in entries:
            out = tmp_path_factory.mktemp("out")
            try:
                if isinstance(entry, Differs):
                    differs(world, entry)
                elif isinstance(entry, Arrives):
                    arrives(world, entry, out)
                else:
                    refused(world, entry, out)
            except (AssertionError, pytest.fail.Exception, KeyError) as error:
                faults.append(f"{option}: {entry}: {str(error)[:600]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("words", [[], ["--offline"]])
def test_offline_holds_for_encoders_too(words: list[str], world: World, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    constants = importlib.import_module("huggingface_hub.constants")
    errors = importlib.import_module("huggingface_hub.errors")
    heeded: list[bool] = []

    def download(*_: Any, **__: Any) -> str:
        heeded.append(bool(constants.is_offline_mode()))
        raise errors.LocalEntryNotFoundError("not in the cache")

    before = constants.is_offline_mode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "snapshot_download", download)
        for command in ("embed hf:a/b --store", "run hf:a/b --out"):
            line = f"{command} OUT/s --suite SUITE"
            assert run([*world.words(line, tmp_path), *words])[0] == 3
    assert heeded == [bool(words) or before] * 2
    assert constants.is_offline_mode() == before
