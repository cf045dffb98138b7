"""What a run of the grid amounts to: phases, floors, and the whole grid from a part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.ceilings import gram_flops, matrix_rate
from benchmarks.grid import model
from benchmarks.grid.calls import Call, Calls
from benchmarks.grid.result import Floors, GridResult, GridRival, Phase, Size
from benchmarks.grid.shape import Cell, Grid, pieces
from benchmarks.rows.store_rows import forget
from benchmarks.timing import seconds_of
from geneb_jax.run import Run
from geneb_jax.run.phases import peak_memory

BUSY = 0.5
"""Load average from which a machine is called busy."""
PROBE_BYTES = 1 << 30
"""Of the file that the disk's rate is measured on, at most; a small run takes an eighth of its own bytes."""
QUANTILES = (5, 25, 50, 75, 95)

CellParts = Callable[[Cell], model.Parts]
PARTS: dict[str, Callable[[], CellParts]] = {
    "generate": lambda: model.storing,
    "write": lambda: model.storing,
    "read": lambda: model.storing,
    "transfer": lambda: model.storing,
    "solve": lambda: model.solving,
    "score": lambda: model.scoring,
    "record": lambda: model.recording,
    "compile": model.Shapes,
    "rest": lambda: model.single,
}
"""How each phase's cost is counted; shapes are counted anew from a process's start."""
PIECEWISE = ("generate", "write")
"""Phases that work on commits, which hold rows of several tasks."""


def phases(whole: Grid, part: Grid, calls: Calls, resamples: int) -> list[Phase]:
    """Every phase of the run, with what it would take for the whole grid."""
    parts = {**PARTS, "bootstrap": lambda: model.resampling(resamples)}
    found = []
    for name, counted in parts.items():
        timed = calls.of(name)
        seconds = [call.seconds for call in timed]
        if part == whole:
            found.append(_phase(name, seconds, sum(seconds), {}, None, None))
            continue
        cells = whole.cells
        if name in PIECEWISE:
            cells = [piece for encoder in whole.encoders for piece in pieces(whole, encoder)]
        of_cell = counted()
        fitted = model.extrapolate(_parts(timed, counted), seconds, model.summed(of_cell(cell) for cell in cells))
        found.append(_phase(name, seconds, fitted.whole, fitted.rates, fitted.held_out, fitted.held_out_largest))
    return found


def _parts(timed: Sequence[Call], counted: Callable[[], CellParts]) -> list[model.Parts]:
    of_session: dict[int, CellParts] = {}
    return [model.summed(of_session.setdefault(call.session, counted())(cell) for cell in call.cells) for call in timed]


def _phase(
    name: str,
    seconds: Sequence[float],
    whole: float,
    rates: model.Parts,
    held_out: float | None,
    largest: float | None,
) -> Phase:
    return Phase(
        name=name,
        seconds=sum(seconds),
        whole_seconds=whole,
        observations=len(seconds),
        model=rates,
        held_out_error=held_out,
        held_out_largest=largest,
    )


def disk_rate(folder: Path, size: int) -> float:
    """Bytes read per second from a new file that was written, synced and dropped from the page cache."""
    path = folder / "disk-rate.bin"
    block = np.random.default_rng(0).integers(0, 256, min(size, 1 << 24), np.uint8)
    with path.open("wb") as out:
        for _ in range(max(1, size // len(block))):
            out.write(block.data)
    times = []
    for _ in range(3):
        forget(folder, path.name)
        times.append(seconds_of(lambda: _read(path, block))[0])
    size = path.stat().st_size
    path.unlink()
    return size / min(times)


def _read(path: Path, into: np.ndarray) -> None:
    with path.open("rb", buffering=0) as source:
        while source.readinto(into.data):  # type: ignore[attr-defined]
            pass


def floors(whole: Grid, part: Grid, folder: Path) -> Floors:
    """The least time for the run and for the whole grid."""
    disk = disk_rate(folder, min(PROBE_BYTES, max(1 << 20, part.bytes // 8)))
    matrix = matrix_rate("real" if part.bytes > PROBE_BYTES // 8 else "toy")

    def gram(grid: Grid) -> float:
        return sum(gram_flops(cell.n, cell.d) for cell in grid.cells) / matrix

    return Floors(
        disk_bytes_per_s=disk,
        matrix_flops_per_s=matrix,
        read_s=part.bytes / disk,
        gram_s=gram(part),
        whole_read_s=whole.bytes / disk,
        whole_gram_s=gram(whole),
    )


def conclude(
    scale: float,
    whole: Grid,
    part: Grid,
    folder: Path,
    room: int,
    calls: Calls,
    resamples: int,
    rivals: Sequence[GridRival],
    load: float | None,
) -> GridResult:
    """The result of a run whose calls were all made."""
    records = Run.open(folder / "run").records.select(["regime", "mcc", "status"]).to_pylist()
    without = Counter(row["status"] for row in records if row["mcc"] is None)
    reached = [row["mcc"] for row in records if row["regime"] == "full" and row["mcc"] is not None]
    wanted = [encoder.mcc[task.id] for encoder in part.encoders for task in part.tasks if task.id in encoder.mcc]
    return GridResult(
        scale=scale,
        row_share=part.share,
        run=_size(part),
        whole=_size(whole),
        phases=phases(whole, part, calls, resamples),
        floors=floors(whole, part, folder),
        rivals=list(rivals),
        streamed=sum(call.streamed for call in calls.of("solve")),
        faults=[f"{count} records: {status}" for status, count in without.items()],
        resamples=resamples,
        mcc_wanted=np.percentile(wanted, QUANTILES).tolist() if wanted else [],
        mcc_reached=np.percentile(reached, QUANTILES).tolist() if reached else [],
        task_sizes=dict(Counter(task.source for task in whole.tasks)),
        disk_bytes=room,
        sessions=calls.sessions,
        peak_memory=peak_memory(),
        load=load,
        busy=load is not None and load > BUSY,
        **machine.facts(),
    )


def _size(grid: Grid) -> Size:
    return Size(
        encoders=len(grid.encoders),
        tasks=len(grid.tasks),
        cells=len(grid.encoders) * len(grid.tasks),
        rows=sum(task.rows for task in grid.tasks),
        bytes=grid.bytes,
        widths=sorted(encoder.width for encoder in grid.encoders),
    )
