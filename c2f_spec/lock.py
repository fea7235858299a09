"""`c2f.lock`: what names stand for. Pins data sets to the digests of their files.

c2f: v1
datasets:
  ch-sims: <64 hex digits>
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from c2f_spec.document import read
from c2f_spec.errors import Diagnostic, SpecErrors

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "# What names stand for. Written by `c2f-spec data add`; reviewed like code.\nc2f: v1\n"


@dataclass(frozen=True, slots=True)
class Lock:
    """Pins by name."""

    datasets: dict[str, str] = field(default_factory=dict)


def read_lock(path: Path) -> Lock:
    """An absent file pins nothing. Raises `SpecErrors` at a line that is not a pin."""
    if not path.is_file():
        return Lock()
    document = read(path, str(path))
    problems = [
        Diagnostic(
            "C2F401",
            document.place((name,), key=True),
            f"unknown field `{name}`",
            "one of `c2f`, `datasets`",
        )
        for name in document.data
        if name not in ("c2f", "datasets")
    ]
    pins = document.data.get("datasets") or {}
    if not isinstance(pins, dict):
        problems.append(
            Diagnostic("C2F402", document.place(("datasets",)), "`datasets` must be a map of pins")
        )
        pins = {}
    for name, digest in pins.items():
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            at = document.place(("datasets", name))
            problems.append(Diagnostic("C2F403", at, f"the pin of `{name}` is not a digest (64 hex digits)"))
    if problems:
        raise SpecErrors(problems)
    return Lock(dict(pins))


def write_pins(path: Path, datasets: dict[str, str]) -> None:
    """Add or change pins, keep the others, in order of names. Replaces the file whole."""
    pins = dict(sorted({**read_lock(path).datasets, **datasets}.items()))
    text = HEADER + "datasets:\n" + "".join(f"  {name}: {digest}\n" for name, digest in pins.items())
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)
