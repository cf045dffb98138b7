"""The identity of a class of one's own follows everything in its project that decides a vector."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

import pytest

from geneb_jax.encoder import load_encoder
from geneb_jax.errors import EncoderError

CLASS = """
{imports}
class M:
    width = 1
    {attribute}
    def __init__(self, {option}): ...
    def encode(self, sequences):
        return [[len(s)] for s in sequences]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a project's files and returns the class's revision, as a process of its own would see it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def revision(files: dict[str, str | None] | None = None, spec: str = "own:M") -> str:
        for name, text in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(tmp_path))]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return load_encoder(spec).info.revision

    yield revision
    for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(tmp_path))]:
        del sys.modules[name]


def source(imports: str = "", attribute: str = "", option: str = "k=1") -> str:
    return CLASS.format(imports=imports, attribute=attribute, option=option)


def test_a_class_that_needs_nothing_has_the_digest_of_its_file(project):
    text = source("import numpy as np\nimport json, os\nK = 3\nNAMES = ['A', 'C']\nfrom geneb_jax.encoder import kmer")
    assert project({"own.py": text, "other.py": "x = 1"}) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("imports", "helper"),
    [
        ("import helper", "helper.py"),
        ("from helper import SCALE", "helper.py"),
        ("def late():\n    from lib import deep", "lib/deep.py"),
        ("import lib.deep as d", "lib/deep.py"),
        ("import through", "helper.py"),
        ("import importlib\nhelper = importlib.import_module('helper')", "helper.py"),
        ("try:\n    import helper\nexcept ImportError:\n    helper = None", "helper.py"),
    ],
)
def test_modules_of_the_project_count(project, imports, helper):
    files = {"own.py": source(imports), "through.py": "import helper", "lib/__init__.py": "", "helper.py": "SCALE = 1",
             "lib/deep.py": "SCALE = 1"}  # fmt: skip
    before = project(files)
    assert project() == before
    after = project({helper: "SCALE = 2"})
    assert after != before
    assert project({"unrelated.py": "x = 1", helper: "SCALE = 1"}) == before


def test_a_package_with_relative_imports_and_a_base_class_elsewhere(project):
    files = {
        "pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/base.py": "from . import more\nclass B: scale = 1",
        "pkg/more.py": "x = 1", "pkg/sub/own.py": "from ..base import B\n" + source().replace("class M", "class M(B)"),
    }  # fmt: skip
    before = project(files, "pkg.sub.own:M")
    assert project({"pkg/base.py": "from . import more\nclass B: scale = 2"}, "pkg.sub.own:M") != before
    project({"pkg/base.py": files["pkg/base.py"]}, "pkg.sub.own:M")
    assert project({"pkg/more.py": "x = 2"}, "pkg.sub.own:M") != before
    (Path("pkg") / "more.py").write_text("x = 1")
    assert project({}, "pkg.sub.own:M") == before


@pytest.mark.parametrize(
    "parts",
    [
        {"option": "weights='w.json'"},
        {"attribute": "weights = 'w.json'"},
        {"imports": "WEIGHTS = 'w.json'"},
        {"imports": "from pathlib import Path\nWEIGHTS = Path(__file__).with_name('w.json')"},
        {"imports": "import json, pathlib\nTABLE = json.loads(pathlib.Path('w.json').read_text())"},
    ],
)
def test_data_files_that_it_names_count(project, parts):
    before = project({"own.py": source(**parts), "w.json": "[1]"})
    assert project({"w.json": "[1]"}) == before
    assert project({"w.json": "[2]"}) != before


def test_constants_from_outside_count_and_caches_do_not(project, monkeypatch):
    text = source("import os\nSCALE = os.environ.get('SCALE', '1')\nCACHE = {}\ndef f():\n    CACHE['a'] = 1\nf()")
    monkeypatch.setenv("SCALE", "1")
    before = project({"own.py": text})
    sys.modules["own"].CACHE["b"] = 2
    assert load_encoder("own:M").info.revision == before
    monkeypatch.setenv("SCALE", "2")
    assert project() != before
    monkeypatch.setenv("SCALE", "1")
    assert project() == before
    plain = project({"own.py": source("TABLE = {'A': 1}")})
    sys.modules["own"].TABLE["A"] = 2
    assert load_encoder("own:M").info.revision != plain


def test_code_that_was_changed_after_it_was_imported_is_refused(project, tmp_path):
    project({"own.py": source("import helper"), "helper.py": "def f():\n    return 1"})
    (tmp_path / "helper.py").write_text("def f():\n    return 2")
    with pytest.raises(EncoderError, match=r"helper\.py was changed since"):
        load_encoder("own:M")
