"""Kubernetes quantities such as `960Gi` and `500m`: their amounts, exactly, and parts of them as text.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

UNITS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
}


def amount(quantity: str) -> Fraction:
    """Return the number of bytes or cores of `1.5Gi`. The schema of environments admits no other form."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", quantity)
    assert match is not None, quantity
    return Fraction(match[1]) * UNITS[match[2]]


@lru_cache(maxsize=1024)
def cores(quantity: str, part: Fraction = Fraction(1)) -> str:
    """Return a part of some cores, in whole cores or thousandths, rounded down and at least a thousandth."""
    thousandths = max(1, int(amount(quantity) * part * 1000))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


@lru_cache(maxsize=1024)
def bytes_of(quantity: str, part: Fraction = Fraction(1)) -> str:
    """Return a part of some memory or disk, in Gi or Mi, rounded down and at least one Mi."""
    mebibytes = max(1, int(amount(quantity) * part / 2**20))
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
