"""Sequences as text: the one normal form, the letters that may occur, and the reverse complement.

Normal form: surrounding white space gone, ASCII letters upper-cased, nothing else. ``U`` is kept as it was written
and counts as ``T`` wherever sequences are compared (`geneb_jax.alphabet`); the ambiguity codes are kept. A gap (``-``
or ``.``) is refused: an embedding of an alignment row is not the embedding of its sequence.
"""

from __future__ import annotations

from typing import Final

IUPAC: Final = "ACGTURYSWKMBDHVN"
PLAIN: Final = "ACGT"
# letters that name an amino acid and no nucleotide code
PROTEIN_ONLY: Final = frozenset("EFILPQXZJO*")

_COMPLEMENT: Final = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")
_RNA_COMPLEMENT: Final = str.maketrans("ACGTURYSWKMBDHVN", "UGCAAYRSWMKVHDBN")
_ASCII_UPPER: Final = {c: c - 32 for c in range(ord("a"), ord("z") + 1)}


def normalise_sequence(sequence: str) -> str:
    """The normal form of one sequence. It checks nothing: letters are checked when a task is read."""
    bare = sequence.strip()
    # str.upper turns some foreign letters into ASCII ones ("ſ" into "S") and so would hide them
    return bare.upper() if bare.isascii() else bare.translate(_ASCII_UPPER)


def reverse_complement(sequence: str) -> str:
    """The opposite strand of a normalised sequence; with a ``U`` in it, an RNA strand."""
    table = _RNA_COMPLEMENT if "U" in sequence else _COMPLEMENT
    return sequence.translate(table)[::-1]


def looks_like_protein(sequence: str) -> bool:
    """Whether a normalised sequence uses letters that only amino acids have."""
    return bool(PROTEIN_ONLY.intersection(sequence)) and all(c.isalpha() or c == "*" for c in sequence)
