"""`gc`: what nothing reaches any more, with its size; removed only when asked, and never before it was named.

`--delete` works in two phases. The first call marks what is garbage now; one that comes `--days` later removes what was
marked and is garbage still, so that a branch that was pushed meanwhile, or a spec that came back, keeps its stages.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from c2f_spec.cli import gc_roots, output
from c2f_spec.cli.workspace import here
from c2f_spec.errors import Exit, InvalidSpec, sanitize
from c2f_spec.store.gc import Garbage, find_garbage, remove

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.store.protocol import ObjectStore

DAY = 86_400.0
MARKS = "gc"
"""Prefix of marks: `gc/<seconds since the epoch>.json`."""


def gc(args: Namespace) -> int:
    place = here(args)
    objects = place.objects
    found = gc_roots.found(objects, place.root, args.specs, args.keep)
    items = find_garbage(objects, found.reached)
    _show(items, args.output)
    for name, why in found.broken.items():
        output.note(f"warning: {name} does not compile, so what it reaches is not known: {why}")
    if found.foreign:
        output.note(f"{found.foreign} plans of other repositories are in this store; what they need stays")
    if found.elsewhere:
        output.note(f"warning: {found.elsewhere} specs of other branches do not compile, and reach nothing")
    for folder, has_plan in found.undescribed.items():
        kept = "the stages of the saved plans with its name stay" if has_plan else "its stages are not known"
        output.note(f"warning: {folder} has no readable report.json: {kept}")
    if not args.delete:
        if items:
            output.note("nothing is removed; --delete marks it, and removes it when it is garbage still")
        return Exit.OK
    if found.broken:
        raise InvalidSpec(
            "nothing is removed while a spec here does not compile", hint="repair or name specs"
        )
    if unknown := [folder for folder, has_plan in found.undescribed.items() if not has_plan]:
        raise InvalidSpec(
            f"nothing is removed while the stages of {', '.join(unknown)} are not known",
            hint="run `c2f-spec report` again for its spec, or remove the folder from the store",
        )
    _delete(objects, items, now=args.yes, days=args.days)
    return Exit.OK


def _delete(objects: ObjectStore, items: list[Garbage], *, now: bool, days: float) -> None:
    marked = {item.name for item in items} if now else _marked(objects, before=time.time() - days * DAY)
    going = [item for item in items if item.name in marked]
    for item in going:
        remove(objects, item)
        output.note(f"removed {item.name}")
    size = sum(item.size for item in going)
    output.note(f"{len(going):,} of {len(items):,} removed, {readable(size)}")
    left = {item.name for item in items} - {item.name for item in going}
    if left:
        text = json.dumps({"items": sorted(left)}, indent=1).encode()
        objects.create(f"{MARKS}/{time.time_ns() // 1_000_000}.json", text)
        output.note(f"{len(left):,} are marked; call this again in {days:g} days, or with --yes")
    if going:
        for name in list(objects.names(MARKS)):
            if _time(name) < time.time() - 2 * max(days, 1) * DAY:
                objects.delete(name)


def _marked(objects: ObjectStore, before: float) -> set[str]:
    """Names that were garbage at some time before, and have been in every mark since."""
    marks = sorted((n for n in objects.names(MARKS)), key=_time)
    old = [n for n in marks if _time(n) <= before]
    named = {n: set(json.loads(data)["items"]) for n, data in objects.read_many(marks).items()}
    found: set[str] = set()
    for first in old:
        since = [named[n] for n in marks if _time(n) >= _time(first) and n in named]
        found |= set.intersection(*since) if since else set()
    return found


def _time(mark: str) -> float:
    """Seconds since the epoch."""
    return int(mark.rsplit("/", 1)[1].removesuffix(".json")) / 1000


def _show(items: list[Garbage], form: str) -> None:
    total = sum(item.size for item in items)
    if form == "json":
        told = [{"name": i.name, "why": i.reason, "objects": len(i.names), "bytes": i.size} for i in items]
        print(json.dumps({"format_version": 1, "bytes": total, "items": told}, indent=1))
    elif form == "name":
        print("\n".join(sanitize(name) for item in items for name in item.names))
    elif not items:
        print("no garbage")
    else:
        rows = [(readable(i.size), f"{len(i.names):,}", i.name, i.reason) for i in items]
        output.table(("SIZE", "OBJECTS", "WHAT", "WHY"), rows)
        print(f"{readable(total)} in {sum(len(i.names) for i in items):,} objects")


def readable(size: float) -> str:
    """`1.5 GB`: thousands, as storage is billed."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes any size")
