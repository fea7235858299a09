"""What belongs to this machine and not to the store: locks, scratch, the logs of its own children.

A store in a folder has them inside it, so that a repository's `.c2f` is all there is to find or to remove. A store in
a bucket has them below `$C2F_HOME`, else `~/.cache/c2f-spec` (XDG), by the store's address.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects


def home() -> Path:
    """The folder of this user on this machine."""
    given = os.environ.get("C2F_HOME")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "c2f-spec"


def work_folder(objects: Objects, kind: str, key: str) -> Path:
    """Where the processes of a stage on this machine lock, scratch and log. It need not exist yet."""
    name = f"work/{kind}/{key}"
    return objects.local(name) or home() / "stores" / _short(objects.url) / name


def _short(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
