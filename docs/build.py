"""Build the documentation as a site that opens without a network: ``python docs/build.py [FOLDER]``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
# a link to a file of code, or code that only shows one
_CODE_LINK = re.compile(r"(`[^`]*`)|(\]\([^)\s]+\.py)(?=[)#])")


def build(into: Path) -> subprocess.CompletedProcess[bytes]:
    """Lay out the sources in a folder and build ``site`` beside them; what the builder warns of is an error."""
    shutil.rmtree(into, ignore_errors=True)
    pages = into / "pages"
    shutil.copytree(DOCS, pages / "docs", ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    config = (DOCS / "zensical.toml").read_text(encoding="utf-8")
    (into / "zensical.toml").write_text(config.replace('"PACKAGES"', repr(str(ROOT))), encoding="utf-8")
    named = {ROOT / page for page in _pages(tomllib.loads(config)["project"]["nav"])}
    if forgotten := set(DOCS.rglob("*.md")) - named:
        sys.exit(f"not in the navigation, docs/zensical.toml: {', '.join(sorted(page.name for page in forgotten))}")
    _lay_out(named, pages)
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "zensical.toml"], cwd=into, check=False
    )


def _lay_out(waiting: set[Path], pages: Path) -> None:
    """Every page at its place in the repository, and what it links to, so that relative links hold; code as pages."""
    known = set(waiting)
    while waiting:
        source = waiting.pop()
        text = source.read_text(encoding="utf-8")
        linked = {
            target
            for link in _LINK.findall(text)
            if source.suffix == ".md" and (target := (source.parent / link).resolve()).is_file()
        }
        waiting |= linked - known
        known |= linked
        at = pages / source.relative_to(ROOT)
        at.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".py":
            title = source.relative_to(ROOT)
            at.with_suffix(".py.md").write_text(f"# {title}\n\n```python\n{text}```\n", encoding="utf-8")
        else:
            at.write_text(_CODE_LINK.sub(lambda found: found[1] or f"{found[2]}.md", text), encoding="utf-8")


def _pages(navigation: Any) -> Iterator[str]:
    if isinstance(navigation, str):
        yield navigation
    else:
        for entry in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from _pages(entry)


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs").returncode)
