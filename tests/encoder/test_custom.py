from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.cli.encoders import SMALLEST
from geneb_jax.encoder import EncoderInfo, check_encoder, load_encoder
from geneb_jax.encoder.custom import named
from geneb_jax.errors import EncoderError, GenebError

OPTIONS = """
import numpy as np
class Scaled:
    width = 2
    def __init__(self, *, weights=None, scale: float = 1.0, steps: int = 1, flip=False):
        self.kept = (weights, scale, steps, flip)
    def encode(self, sequences):
        return [[len(s), s.count("A")] for s in sequences]
class Open:
    width = 1
    def __init__(self, **keywords):
        self.kept = keywords
    def encode(self, sequences):
        return np.ones((len(sequences), 1))
"""

BROKEN = """
import numpy as np
class NoWidth:
    def encode(self, sequences): ...
class NoEncode:
    width = 3
class WrongShape:
    width = 3
    def encode(self, sequences): return np.zeros((len(sequences), 2), np.float32)
class Text:
    width = 1
    def encode(self, sequences): return [[s] for s in sequences]
class Ragged:
    width = 2
    def encode(self, sequences): return [[1.0] * i for i, _ in enumerate(sequences)]
class Raises:
    width = 1
    def encode(self, sequences): raise KeyError("Q")
class Picky:
    width = 1
    def __init__(self): raise RuntimeError("no weights here")
    def encode(self, sequences): ...
not_a_class = 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch, request):
    """Write a module with a name of this test's own into the current folder; returns the name."""
    monkeypatch.chdir(tmp_path)

    def make(text: str) -> str:
        name = f"mod_{abs(hash(request.node.nodeid)):x}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return make


def test_the_smallest_example_works_and_is_small(write):
    assert len(SMALLEST.strip().splitlines()) <= 10
    module = write(SMALLEST)
    encoder = load_encoder(f"{module}:Composition")
    np.testing.assert_array_equal(encoder.encode(["AAC", "GTT"]), [[2, 1, 0, 0], [0, 0, 1, 2]])
    assert (encoder.info.name, encoder.info.width, encoder.info.family) == ("Composition", 4, "custom")
    check_encoder(encoder, ["AAC", "GTT", "GGGGTAA"]).raise_if_failed()


def test_the_revision_is_the_source_and_the_path_is_not(write, tmp_path):
    module = write(SMALLEST)
    first = load_encoder(f"{module}:Composition").info
    (tmp_path / "copy_of_it.py").write_text(SMALLEST)
    assert load_encoder("copy_of_it:Composition").info.digest == first.digest
    (tmp_path / "changed_it.py").write_text(SMALLEST + "# another line\n")
    assert load_encoder("changed_it:Composition").info.digest != first.digest


def test_options_reach_the_constructor_in_its_types(write):
    module = write(OPTIONS)
    encoder = load_encoder(f"{module}:Scaled,scale=0.5,steps=3,flip=true", weights="none")
    assert encoder._inner.kept == ("none", 0.5, 3, True)
    assert encoder.info.settings["scale"] == 0.5
    assert load_encoder(f"{module}:Open,anything=goes")._inner.kept == {"anything": "goes"}
    for option, words in [
        ("scael=1", "did you mean scale"),
        ("steps=x", "whole number"),
        ("scale=x", "a number"),
    ]:
        with pytest.raises(GenebError, match=words):
            load_encoder(f"{module}:Scaled,{option}")


def test_an_option_that_names_files_is_identified_by_what_they_hold(write, tmp_path):
    module = write(OPTIONS)
    digests = []
    for folder, content in (("one", b"same"), ("two", b"same"), ("three", b"other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.bin").write_bytes(content)
        info = load_encoder(f"{module}:Scaled,weights={tmp_path / folder}").info
        assert str(tmp_path) not in str(info)
        digests.append(info.digest)
    assert digests[0] == digests[1] != digests[2]


def test_lists_and_integers_become_float32_rows(write):
    vectors = load_encoder(f"{write(OPTIONS)}:Scaled").encode(["AC", "AAA"])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[2, 1], [3, 3]])


def test_an_info_of_its_own_is_taken(write):
    module = write(
        "from geneb_jax.encoder import EncoderInfo\n"
        "class Mine:\n"
        "    info = EncoderInfo('mine', 'ours', 'v7', 2, {'layer': 3})\n"
        "    def encode(self, sequences): return [[1.0, 2.0]] * len(sequences)\n"
    )
    assert load_encoder(f"{module}:Mine").info == EncoderInfo("mine", "ours", "v7", 2, {"layer": 3})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NoWidth", "states no width"),
        ("NoEncode", "has no method `encode`"),
        ("WrongShape", r"shape \(2, 2\) for 2 sequences"),
        ("Text", "array of <U"),
        ("Ragged", "`encode` failed: ValueError"),
        ("Raises", "KeyError: 'Q'"),
        ("Picky", "no weights here"),
        ("not_a_class", "no class"),
        ("WrongShapes", "did you mean WrongShape"),
    ],
)
def test_broken_classes_are_named(write, name, words):
    module = write(BROKEN)
    with pytest.raises(GenebError, match=words):
        load_encoder(f"{module}:{name}").encode(["AC", "GT"])


def test_a_tensor_with_gradients_says_how_to_return_it(write):
    module = write(
        "import torch\n"
        "class Tensors:\n"
        "    width = 1\n"
        "    def encode(self, sequences): return torch.ones(len(sequences), 1, requires_grad=True)\n"
    )
    with pytest.raises(EncoderError, match="detach"):
        load_encoder(f"{module}:Tensors").encode(["A"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no module 'absent_module'"),
        ("import package_that_is_absent\n", "needs package_that_is_absent, which is not installed"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_modules_that_cannot_be_imported(write, text, words):
    module = write(text) if text else "absent_module"
    with pytest.raises(EncoderError, match=words):
        load_encoder(f"{module}:Thing")


def test_an_object_of_ones_own_class_is_an_encoder_and_what_nothing_identifies_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "object_of_own.py").write_text(OPTIONS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module("object_of_own").Open()
    del made.kept
    encoder = named(made)
    assert (encoder.info.name, encoder.info.width) == ("Open", 1)
    assert encoder.encode(["AAC"]).tolist() == [[1]]
    assert named(encoder) is encoder
    made.weights = np.ones(3)
    with pytest.raises(EncoderError, match="attribute weights"):
        named(made)
    with pytest.raises(EncoderError, match="no method `encode`"):
        named(object())
