"""A folder of files that a verb writes whole: what changed is written, what is no longer meant is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli import show
from c2f_spec.errors import Exit, WrongUsage

if TYPE_CHECKING:
    from pathlib import Path


def write_folder(folder: Path, wanted: dict[str, str], header: str, *, check: bool, what: str) -> int:
    """Bring the YAML files of `folder` to `wanted`, each of which begins with `header`.

    Files without the header are somebody else's: never removed, and never written over. With `check` nothing is
    written, and the code is 4 if something differs. `what` is what a file that is no longer wanted is not any more.
    """
    there = {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.yaml"))}
    stale = [n for n, text in there.items() if n not in wanted and text.startswith(header)]
    foreign = [n for n in wanted if n in there and not there[n].startswith(header)]
    if foreign and not check:
        raise WrongUsage(f"{folder / foreign[0]} was not written by this spec", hint="choose another folder")
    changed = [n for n, text in wanted.items() if there.get(n) != text]
    if check:
        for word, names in (("differs", changed), (f"no longer {what}", stale)):
            for name in names:
                show.note(f"{folder / name}: {word if name in there else 'missing'}")
        return Exit.DIFFERENCE if changed or stale else Exit.OK
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (folder / name).write_text(wanted[name], encoding="utf-8")
        print(f"wrote {folder / name}")
    for name in stale:
        (folder / name).unlink()
        print(f"removed {folder / name}: no longer {what}")
    return Exit.OK
