"""`data add` and `data check` (`data show` is `gallery`): copies of data sets, read by a child process, because that needs the runtime's packages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.child import asked
from c2f_spec.cli.here import here
from c2f_spec.cli.predictions import add_predictions
from c2f_spec.errors import Exit, WrongUsage
from c2f_spec.lock import read_lock
from c2f_spec.lookalikes import suggest
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

SHOWN = 5
"""Clips that two data sets share, in the table."""


def data(args: Namespace) -> int:
    if args.data_verb == "show":
        from c2f_spec.cli.gallery import gallery

        return gallery(args)
    return _check(args) if args.data_verb == "check" else _add(args)


def _add(args: Namespace) -> int:
    """Stage and pin. What needs its terms accepted is refused without `--accept-terms`, or the lock's word that they were."""
    if args.predictions is not None:
        return add_predictions(args)
    place = here(args)
    lock, objects = read_lock(place.lock), place.objects
    pinned = lock.datasets
    terms = [name for name in args.names if name in DATASETS and not DATASETS[name].rendered]
    for name in args.names:
        if args.fetch:
            _known(name)
        if name in terms and not args.accept_terms and name not in lock.terms_accepted:
            raise WrongUsage(
                f"`{name}` is given out by its authors under terms of their own",
                hint="read them, and add --accept-terms to say that you accept them",
            )
    there = (
        {n for n in args.names if pinned.get(n) in records.datasets_present(objects, n)}
        if args.fetch
        else set()
    )
    for name in sorted(there):
        print(f"{name}: staged before, digest {pinned[name][:10]}")
    names = [n for n in args.names if n not in there]
    if not names:
        return Exit.OK
    source = ["--fetch"] if args.fetch else ["--from", args.source]
    code, printed = asked("data", "add", *names, "--store", place.store, *source)
    if code:
        return code
    staged = [json.loads(line) for line in printed.splitlines()]
    for item in staged:
        print(f"{item['name']}: {item['rows']:,} rows, digest {item['digest'][:10]}")
        if "own" in item:
            print(f"a spec names it with\ndata:\n  own:\n    - {_flow(item['own'])}")
    place.pin("datasets", {item["name"]: item["digest"] for item in staged})
    place.accept(terms)
    return Exit.OK


def _check(args: Namespace) -> int:
    """Exit 4 if the copy differs from what is published, or cannot be used as it is."""
    against = [word for other in args.against for word in ("--against", other)]
    code, printed = asked("data", "check", args.name, "--from", args.source, *against)
    if code:
        return code
    found = json.loads(printed)
    print(printed.strip() if args.output == "json" else _told(found))
    return Exit.DIFFERENCE if found["problems"] else Exit.OK


def _told(found: dict[str, Any]) -> str:
    counts = ", ".join(f"{n:,} {split}" for split, n in found["splits"].items())
    low, high = found["labels"]
    lines = [f"{found['name']}: {found['rows']:,} clips ({counts}), labels from {low:g} to {high:g}"]
    if found["seconds"]:
        lines.append(f"{found['seconds'] / 60:,.0f} minutes of recordings")
    for problem in found["problems"]:
        lines.append(f"problem: {problem['count']:,} {problem['what']}")
        lines += [f"  {example}" for example in problem["examples"]]
        if problem["count"] > len(problem["examples"]):
            lines.append(f"  and {problem['count'] - len(problem['examples']):,} more")
    lines += found["notes"]
    for overlap in found["overlap"]:
        split = ", ".join(f"{n:,} {name}" for name, n in overlap["by_split"].items()) or "none"
        lines.append(
            f"overlap with {overlap['with']}: {overlap['clips']:,} clips ({split}) by id, words or recording"
        )
        lines += [f"  {clip}" for clip in overlap["ids"][:SHOWN]]
        if overlap["clips"] > SHOWN:
            lines.append(f"  and {overlap['clips'] - SHOWN:,} more (all with -o json)")
    return "\n".join([*lines, *([] if found["problems"] else ["no problem found"])])


def _flow(value: Any) -> str:
    """As YAML in one line. Every name and number in it was validated."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(each)}' for key, each in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _known(name: str) -> None:
    if name not in DATASETS:
        raise WrongUsage(f"no data set `{name}`", hint=suggest(name, list(DATASETS)))
