"""The pages of the documentation as lists of code blocks that can be run; ``docs/writing-docs.md`` states the rules."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region
from sybil.evaluators.doctest import OutputChecker
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from tests.docs.shell import Done, Shell

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]))

# what may stand in a comment before a fence; True: with a reason or a name behind a colon
MARKS = {"parsed only": True, "slow": True, "output": False, "slow output": False, "file": True}
# GENEB_DOCS=all also runs what takes long, the whole quickstart first of all
ALL = os.environ.get("GENEB_DOCS") == "all"
# shown to be read, not to be run
SHOWN = {"text", "csv", "toml", "json"}
_FENCE = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)\n"))
_COMMENT = re.compile(r"<!-- (?P<mark>[a-z ]+?)(?:: (?P<why>[^\n]+?))? -->\n+\Z")


def fenced(document: Document) -> Iterator[Region]:
    """Every fenced block, with what should be done about it: a parser of Sybil's."""
    for region in _FENCE(document):
        language, marks = region.lexemes["language"].strip(), marks_before(document.text, region.start)
        region.parsed = region.lexemes["source"]
        region.lexemes = {**region.lexemes, "language": language, "marks": marks}
        region.evaluator = _evaluator(language, marks)
        yield region


def blocks(page: Path) -> list[Example]:
    """The code blocks of a page, in order."""
    return list(Document.parse(str(page), fenced))


def marks_before(text: str, place: int) -> dict[str, str]:
    """The marks in the comments that stand right before a place."""
    found: dict[str, str] = {}
    while match := _COMMENT.search(text, max(0, place - 400), place):
        if match["mark"] in MARKS:
            found[match["mark"]] = match["why"] or ""
        place = match.start()
    return found


def _evaluator(language: str, marks: dict[str, str]) -> Any:
    wrong = [mark for mark, why in marks.items() if MARKS[mark] != bool(why)]
    if wrong:
        return lambda example: f"the mark {wrong[0]!r} " + ("needs a reason" if MARKS[wrong[0]] else "takes none")
    if "file" in marks:
        return _write
    if "output" in marks or ("slow output" in marks and ALL):
        return _compare
    read_only = "parsed only" in marks or ("slow" in marks and not ALL)
    if language == "bash":
        return _parse_bash if read_only else _run_bash
    if language == "python":
        return _parse_python if read_only else _run_python
    if language in SHOWN:
        return lambda example: None
    return lambda example: (
        f"a block of language {language!r}: write bash or python, which are run, or one of {', '.join(sorted(SHOWN))}"
    )


def _write(example: Example) -> None:
    target = Path(example.region.lexemes["marks"]["file"])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(example.parsed, encoding="utf-8")


def _run_python(example: Example) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        PythonEvaluator()(example)
    example.namespace["printed"] = out.getvalue()


def _parse_python(example: Example) -> str | None:
    """What a block imports from us must be there, though the block is not run."""
    for node in ast.walk(ast.parse(example.parsed)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geneb_jax"):
            home = importlib.import_module(str(node.module))
            missing = [alias.name for alias in node.names if not hasattr(home, alias.name)]
            if missing:
                return f"{node.module} has no {', '.join(missing)}"
    return None


def _run_bash(example: Example) -> str | None:
    shell: Shell = example.namespace["shell"]
    done = shell.run(example.parsed, Path.cwd())
    example.namespace["printed"] = done.out
    return _failed(done, f"exit status {done.status}") if done.status else None


def _parse_bash(example: Example) -> str | None:
    shell: Shell = example.namespace["shell"]
    done = shell.parse(example.parsed, Path.cwd())
    example.namespace["printed"] = ""
    return _failed(done, "geneb does not take this") if any(code for _, code in done.calls) else None


def _failed(done: Done, what: str) -> str:
    calls = "\n".join(f"[{code}] {call}" for call, code in done.calls)
    return f"{what}\n{calls}\n{done.out[-3000:]}\n{done.err[-3000:]}"


def _compare(example: Example) -> str | None:
    """The block must stand in what the block before it printed."""
    # where prose is wrapped depends on the terminal
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    printed = example.namespace.get("printed", "")
    if OutputChecker().check_output(f"...{example.parsed.strip()}...", printed, flags):
        return None
    return f"the block before it printed something else:\n{printed}"
