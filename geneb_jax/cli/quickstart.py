"""``geneb quickstart``: the whole way once, on bundled real data, without a network."""

from __future__ import annotations

from pathlib import Path

import click

from geneb_jax.cli.options import conclude, typed_command

# widths 64 and 256, twice each: encoders of equal width share what JAX compiles
ENCODERS = ("kmer:3,counts=true", "kmer:4,counts=true", "onehot:64", "random-conv:64")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("geneb-quickstart"), show_default=True,
              metavar="DIR", help="Run directory.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(out: Path, as_json: bool) -> int:
    """Embed, probe and report on 3,190 real splice-junction sequences of primates (60 bp, UCI repository).

    Four encoders that need no download are compared: counts of 3-mers and of 4-mers, the letters themselves,
    and a convolutional network with random weights. A pretrained model should beat them all.
    """
    from geneb_jax.run.whole import embed_and_probe
    from geneb_jax.task import load_suite

    if not as_json:
        click.echo(f"Comparing {', '.join(ENCODERS)} on the bundled suite; this takes less than a minute.", err=True)
    result = embed_and_probe(ENCODERS, load_suite("quickstart"), out, progress=not as_json, command=typed_command())
    code = conclude(result.run, as_json=as_json)
    if not as_json:
        for title, lines in (("What lies there:", _HOLDS), ("What to try next:", _NEXT)):
            click.echo(f"\n{title}")
            named = {first.format(out=out): what for first, what in lines.items()}
            for first, what in named.items():
                click.echo(f"  {first:<{max(map(len, named))}}  {what}")
    return code


_HOLDS = {
    "{out}/records.parquet": "every fit: scores, status, steps, sizes, time",
    "{out}/predictions.zarr": "the predicted class of every test sequence",
    "{out}/run.json": "settings, versions, devices, timings",
    "{out}/store": "the embeddings, each distinct sequence once",
}
_NEXT = {
    "geneb run hf:ORG/NAME --suite quickstart --out {out}": "a pretrained model beside these four",
    "geneb probe {out}/store --engine sklearn --out audit": "the same, by scikit-learn",
    "geneb doctor --parity {out}/store": "how far the two are apart",
    "geneb tasks": "the 100 tasks of GENEB",
}
