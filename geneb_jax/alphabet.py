"""U and T are one base: the one rule by which sequences are compared, whatever they were written as.

A task keeps its sequences as they were written. Wherever two of them are compared (duplicates, leaks, near-duplicates,
opposite strands, keys of shuffles), ``U`` counts as ``T``. An encoder is given the letter that it knows.
"""

from __future__ import annotations


def as_dna(sequence: str) -> str:
    """The sequence with every U as T."""
    return sequence.replace("U", "T")


def as_rna(sequence: str) -> str:
    """The sequence with every T as U."""
    return sequence.replace("T", "U")
