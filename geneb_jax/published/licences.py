"""What a licence of weights allows, as far as choosing a model goes. No legal advice: read the licence."""

from __future__ import annotations

from typing import Final, Literal

LicenceClass = Literal["permissive", "non-commercial", "not stated"]

PERMISSIVE: Final = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"})
NON_COMMERCIAL: Final = frozenset({"cc-by-nc-4.0", "cc-by-nc-sa-4.0"})


def licence_class(licence: str | None) -> LicenceClass:
    """The class of a licence id; "not stated" where there is none, or one that is in no class here."""
    if licence in PERMISSIVE:
        return "permissive"
    return "non-commercial" if licence in NON_COMMERCIAL else "not stated"
