"""Every chart as a PNG or SVG file, for papers and slides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from geneb_jax.paths import confined
from geneb_jax.plain import write_whole
from geneb_jax.report.web.charts import DATA, charts, score_rows
from geneb_jax.report.web.content import Content, regime_name
from geneb_jax.report.web.pages import VEGA_LITE

WIDTH: Final = 560
_STYLE: Final = {"background": "white", "font": "Helvetica, Arial, sans-serif", "view": {"stroke": None},
                 "legend": {"orient": "bottom", "columns": 3}}  # fmt: skip


def write_figures(content: Content, out: Path, ending: Literal["png", "svg"]) -> list[Path]:
    """``NAME-REGIME.png`` or ``.svg`` of every chart with macro scores; one file where a chart shows all regimes."""
    import vl_convert

    out.mkdir(parents=True, exist_ok=True)
    rows, found = score_rows(content), []
    for chart in charts(content):
        whole = chart.every_regime or chart.rows is not None
        for regime in content.regimes[: 1 if whole else None]:
            spec: dict[str, Any] = json.loads(json.dumps(chart.spec))
            spec |= {"title": chart.title, "config": _STYLE, "datasets": {DATA: chart.rows or rows}, "width": WIDTH}
            for param in spec["params"]:
                if param["name"] == "regime":
                    param["value"] = regime_name(regime)
            path = confined(out, f"{chart.name}{'' if whole else f'-{regime}'}.{ending}", what="name of a figure")
            if ending == "png":
                write_whole(path, vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, ppi=200))
            else:
                write_whole(path, vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE))
            found.append(path)
    return found
