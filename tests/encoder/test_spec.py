from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.encoder import KINDS, EncoderInfo, load_encoder
from geneb_jax.encoder.spec import Option, merge_options, parse_spec, resolve_options
from geneb_jax.errors import EncoderError, UnknownNameError, UsageError


@pytest.mark.parametrize(
    ("text", "kind", "subject", "options"),
    [
        ("kmer:6", "kmer", "6", {}),
        ("onehot", "onehot", None, {}),
        ("onehot,align=left", "onehot", None, {"align": "left"}),
        ("kmer:6,counts=true,canonical=no", "kmer", "6", {"counts": "true", "canonical": "no"}),
        ("hf:org/name@main,layer=-1", "hf", "org/name@main", {"layer": "-1"}),
        ("hf:./a,b/c=d", "hf", "./a,b/c=d", {}),
        ("hf:./runs,lr=1/model,dtype=float16", "hf", "./runs", {"lr": "1/model", "dtype": "float16"}),
        ("a.b:C,folder=x:y", "a.b", "C", {"folder": "x:y"}),
    ],
)
def test_grammar(text, kind, subject, options):
    spec = parse_spec(text)
    assert (spec.kind, spec.subject, dict(spec.options)) == (kind, subject, options)


@given(
    st.text("abc/.-@", min_size=1, max_size=12),
    st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), st.text("xyz1./-", max_size=6)),
)
def test_what_is_written_is_read(subject, options):
    text = f"hf:{subject}" + "".join(f",{k}={v}" for k, v in options.items())
    spec = parse_spec(text)
    assert (spec.subject, dict(spec.options)) == (subject, options)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("kmer:6,count=true", UsageError, "did you mean counts"),
        ("kmer:6,counts=maybe", UsageError, "true or false"),
        ("kmer:6,counts=true,counts=true", UsageError, "twice"),
        ("kmer:6,counts", UsageError, "key=value"),
        ("kmer:0", UsageError, "from 1 to 8"),
        ("kmer", UsageError, "kmer:NUMBER"),
        ("onehot:20,align=middle", UsageError, "one of center, left, right"),
        ("random-conv:64,seed=x", UsageError, "a whole number"),
        ("kmr:6", UnknownNameError, "did you mean kmer"),
        ("DNABERT-9", UnknownNameError, "geneb encoders"),
        ("", UsageError, "not an encoder string"),
        ("hf:", UsageError, "folder"),
    ],
)
def test_bad_strings_say_what_to_do(text, error, words):
    with pytest.raises(error, match=words):
        load_encoder(text)


def test_options_come_from_the_string_or_the_call_but_not_both():
    assert load_encoder("kmer:2", counts=True).info == load_encoder("kmer:2,counts=true").info
    with pytest.raises(UsageError, match="keyword"):
        merge_options(parse_spec("kmer:2,counts=true"), {"counts": True})


def test_every_default_of_every_kind_resolves_to_itself():
    for kind in KINDS.values():
        values = resolve_options(kind.name, kind.options, {o.name: o.default for o in kind.options})
        assert values == {o.name: o.default for o in kind.options}


def test_integer_options_refuse_fractions_and_booleans():
    option = [Option("n", int, 3, "")]
    assert resolve_options("x", option, {"n": "-7"}) == {"n": -7}
    for bad in ("1.5", True, ""):
        with pytest.raises(UsageError, match="whole number"):
            resolve_options("x", option, {"n": bad})


INFO = EncoderInfo("a", "kmer", "r1", 4, {"k": 1, "counts": False}, {"jax": "0.10"})


def test_the_digest_is_of_everything_but_the_name():
    assert dataclasses.replace(INFO, name="b").digest == INFO.digest
    assert EncoderInfo("a", "kmer", "r1", 4, {"counts": False, "k": 1}, {"jax": "0.10"}).digest == INFO.digest
    changed = [{"family": "x"}, {"revision": "r2"}, {"width": 5}, {"settings": {"k": 1}}, {"libraries": {}}]
    digests = {dataclasses.replace(INFO, **change).digest for change in changed}
    assert len(digests | {INFO.digest}) == len(changed) + 1


def test_the_digest_stays_what_it_was():
    """Stores are found by it: a change here orphans every store ever written."""
    assert INFO.digest == "e99e53bbc237af5f69ceb0f36f450cf5826bf5eb01b6c4c6c6ebef6bc60ff745"


def test_info_pickles_hashes_and_refuses_a_bad_width():
    assert pickle.loads(pickle.dumps(INFO)) == INFO
    assert {INFO: 1}[EncoderInfo("a", "kmer", "r1", 4, {"counts": False, "k": 1}, {"jax": "0.10"})] == 1
    for width in (0, 1.0, True):
        with pytest.raises(EncoderError, match="width"):
            dataclasses.replace(INFO, width=width)
