"""All benchmark rows by name; the table of targets is issue 3's."""

from __future__ import annotations

from benchmarks.rows import bootstrap_rows, curves, embed_rows, heads_rows, stock_rows, store_rows, yardstick_rows
from benchmarks.rows.base import Bench, Goal
from benchmarks.workloads import Size, draw_lanes, full_lane, penalty_lanes
from geneb_jax.errors import unknown_name
from geneb_jax.probes import Lane

STOCK = "stock harness loop"
FIVE_C = (0.01, 0.1, 1.0, 10.0, 100.0)


def _goals(best: float, shipped: float | None = None) -> tuple[Goal, ...]:
    goals = (Goal("ratio_best", "≥", best),)
    return goals if shipped is None else (*goals, Goal("ratio_as_shipped", "≥", shipped))


def _full(size: Size) -> list[Lane]:
    return full_lane()


def _protocol() -> list[Bench]:
    shapes = [
        ("narrow72", "toy2", _goals(20, 40)),
        ("tf0", "toy2", _goals(20, 40)),
        ("arabidopsis", "toy2", _goals(8, 20)),
        ("elements14", "toy3", _goals(20)),
        ("fungi20", "toy3", _goals(20)),
        ("virus25", "toy3", _goals(20)),
        ("wide2048", "toy2", _goals(8)),
        ("wide4096", "toy2", _goals(8)),
    ]
    return [
        Bench(
            f"protocol-{name}-{kind}",
            "GENEB's protocol for one (encoder, task): 5 seeds × (full, 10-shot, 1-shot), fitted and scored",
            STOCK,
            f"{name}-{kind}",
            f"{toy}-{kind}",
            goals,
            stock_rows.protocol,
        )
        for name, toy, goals in shapes
        for kind in ("freq", "counts")
    ]


def _grids() -> list[Bench]:
    return [
        Bench(
            f"penalties-{name}-{kind}",
            "full data at five C from 0.01 to 100 in one call, against one C in one call",
            "one C with our engine",
            f"{name}-{kind}",
            f"toy2-{kind}",
            (Goal("grid_over_one_C", "≤", 1.6),),
            stock_rows.penalties,
            lanes=lambda size: penalty_lanes(FIVE_C),
        )
        for name in ("tf0", "arabidopsis")
        for kind in ("freq", "counts")
    ]


def _draws() -> list[Bench]:
    return [
        Bench(
            f"draws-1000-{kind}",
            "1,000 ten-shot draws, each fitted and scored on 2,000 test rows",
            f"{STOCK}, timed on 50 draws and scaled",
            f"draws768-{kind}",
            f"toy2-{kind}",
            _goals(80),
            stock_rows.draws,
            lanes=lambda size: draw_lanes(20 if size == "toy" else 1000),
        )
        for kind in ("freq", "counts")
    ]


def _yardsticks() -> list[Bench]:
    names = ("tf0", "arabidopsis", "elements14", "fungi20", "virus25", "wide2048", "wide4096")
    benches = []
    for name in names:
        toy = "toy3" if name in ("elements14", "fungi20", "virus25") else "toy2"
        for kind in ("freq", "counts"):
            shapes = (f"{name}-{kind}", f"{toy}-{kind}")
            benches += [
                Bench(
                    f"gram-{name}-{kind}",
                    "one full-data fit with transfer and scoring, against one product XᵀX of the same X",
                    "one Gram product",
                    *shapes,
                    (Goal("fit_over_gram", "≤", 3),),
                    yardstick_rows.gram,
                    lanes=_full,
                ),
                Bench(
                    f"race-{name}-{kind}",
                    "one full-data fit to a relative suboptimality of 1e-6",
                    "scikit-learn, torch, Optax, skglm",
                    *shapes,
                    (Goal("ratio_best", "≥", 1),),
                    yardstick_rows.to_suboptimality,
                    lanes=_full,
                ),
                Bench(
                    f"memory-{name}-{kind}",
                    "largest resident size of a fresh process that loads X and runs the protocol",
                    "bytes of X",
                    *shapes,
                    (Goal("peak_over_allowed", "≤", 1),),
                    yardstick_rows.memory,
                ),
            ]
    return sorted(benches, key=lambda bench: bench.name.split("-")[0])


def _curves() -> list[Bench]:
    def bench(
        axis: str, what: str, real: str, toy: str, points: dict[Size, list[int]], measure: object, lanes: object = None
    ) -> Bench:
        more = {} if lanes is None else {"lanes": lanes}
        return Bench(f"curve-{axis}", what, "itself", real, toy, (), measure, points=points, **more)  # type: ignore[arg-type]

    return [
        bench(
            "n",
            "GENEB's protocol on more and more rows",
            "tf0-freq",
            "toy2-freq",
            {"toy": [100, 200, 400], "real": [2_000, 4_000, 8_000, 16_000, 32_000]},
            curves.rows,
        ),
        bench(
            "d",
            "GENEB's protocol on more and more columns of 20,000 rows",
            "wide4096-freq",
            "toy2-freq",
            {"toy": [16, 32, 64], "real": [256, 512, 1024, 2048, 4096]},
            curves.width,
        ),
        bench(
            "k",
            "GENEB's protocol with 14 classes merged to fewer, rows unchanged",
            "elements14-freq",
            "toy3-freq",
            {"toy": [2, 3], "real": [2, 3, 4, 7, 10, 14]},
            curves.classes,
        ),
        bench(
            "draws",
            "more and more ten-shot draws of one task",
            "draws768-freq",
            "toy2-freq",
            {"toy": [1, 20], "real": [1, 4, 16, 64, 256, 1024]},
            curves.draws,
            lambda size: draw_lanes(20 if size == "toy" else 1024),
        ),
        bench(
            "penalties",
            "more and more C at full data in one call",
            "tf0-freq",
            "toy2-freq",
            {"toy": [1, 2, 4], "real": [1, 2, 4, 8, 16]},
            curves.grid,
            lambda size: penalty_lanes(FIVE_C),
        ),
    ]


def _embedding() -> list[Bench]:
    return [
        embed_rows.EmbedBench(
            f"{name}-compiled" if compiled else name,
            "every vector of eight tasks of 40 to 11,940 letters: from files to a synced store",
            "official extractors' loop, batches of 4 to 10, task after task",
            real,
            "embed-toy",
            (Goal("ratio_best", "≥", 3),),
            embed_rows.throughput,
            work=None,
            model=model,
            compiled=compiled,
        )
        for name, real, model in (
            ("embed-throughput", "embed-mistral", "mistral-dna-1m-tf0"),
            ("embed-throughput-bert", "embed-bert", "random-bert"),
        )
        for compiled in (False, True)
    ]


def _store() -> list[Bench]:
    reads = [
        Bench(
            f"store-read-{task}",
            "vectors and labels of one (encoder, task) from a store, every checksum compared",
            "numpy.load of files of the same bytes on the same disk",
            f"store-{task}",
            "store-toy",
            (Goal("ratio_best", "≥", 0.8),),
            store_rows.reading,
            work=None,
        )
        for task in ("tf0", "arabidopsis", "mixed")
    ]
    append = Bench(
        "store-append",
        "32,768 vectors of width 1,024 into a store, commit by commit, each synced to the disk",
        "a plain file, flushed and synced after every block of the same rows",
        "store-arabidopsis",
        "store-toy",
        (Goal("ratio_best", "≥", 0.5),),
        store_rows.appending,
        work=None,
    )
    precisions = [
        Bench(
            f"store-precision-{task}",
            "GENEB's protocol on vectors stored as float16 and bfloat16: the change of MCC",
            "the same vectors stored as float32",
            f"store-{task}",
            "store-toy",
            (),
            store_rows.precision,
            work=None,
        )
        for task in ("tf0", "arabidopsis", "mixed")
    ]
    return [*reads, append, *precisions]


def _bootstrap() -> list[Bench]:
    return [
        bootstrap_rows.BootstrapBench(
            f"bootstrap-{k}-classes",
            "10,000 paired resamples of 40 encoders on a task with 10,000 test rows, and their influence values",
            "NumPy loop over matthews_corrcoef, timed on 5 resamples and scaled",
            "drawn",
            "drawn",
            (Goal("ratio_best", "≥", 1000),),
            bootstrap_rows.paired,  # type: ignore[arg-type]
            work=bootstrap_rows.resampling,  # type: ignore[arg-type]
            k=k,
        )
        for k in (2, 9)
    ]


def _heads() -> list[Bench]:
    return [
        Bench(
            f"probe-types-{name}-{kind}",
            "all eight probe types by GENEB's protocol for one (encoder, task): 5 seeds × 3 regimes each",
            "scikit-learn loop over all types",
            f"{name}-{kind}",
            f"toy2-{kind}",
            (Goal("ratio_best", "≥", 20), Goal("ratio_without_mlp", "≥", 20)),
            heads_rows.all_types,
            work=None,
        )
        for name, kind in (("tf0", "counts"), ("draws768", "counts"))
    ]


BENCHES: dict[str, Bench] = {
    bench.name: bench
    for bench in (
        *_protocol(),
        *_grids(),
        *_draws(),
        *_yardsticks(),
        *_curves(),
        *_embedding(),
        *_store(),
        *_bootstrap(),
        *_heads(),
    )
}


def select(patterns: tuple[str, ...]) -> list[Bench]:
    """Rows by name or by a pattern such as ``protocol-*``, in the listed order; none given takes all.

    Raises UnknownNameError.
    """
    from fnmatch import fnmatchcase

    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in BENCHES):
            raise unknown_name("benchmark", pattern, list(BENCHES))
    return [b for b in BENCHES.values() if not patterns or any(fnmatchcase(b.name, p) for p in patterns)]
