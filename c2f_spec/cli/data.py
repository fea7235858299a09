"""`data add` and `data check` (`data show` is `gallery`): copies of data sets, read by a child process, because that needs the runtime's packages."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.runtime_process import asked
from c2f_spec.cli.workspace import compile_work, here
from c2f_spec.errors import Exit, InvalidData, InvalidSpec, UsageError
from c2f_spec.language.lock_file import read_lock
from c2f_spec.language.suggestions import suggest
from c2f_spec.plan.compile import store_url
from c2f_spec.spec.base import NAME_PATTERN
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace


SHOWN = 5
"""Clips that two data sets share, in the table."""


def data(args: Namespace) -> int:
    if args.data_verb == "show":
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
            raise UsageError(
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
        raise UsageError(f"no data set `{name}`", hint=suggest(name, list(DATASETS)))


# `data add NAME --predictions FILE`: predictions of another code base, staged and pinned for `evaluate.import`.


def add_predictions(args: Namespace) -> int:
    """Every line is read before anything is stored."""
    from c2f_spec.metrics.imported_predictions import FILE, read_imported

    name, *more = args.names
    if more or not re.match(NAME_PATTERN, name):
        raise UsageError(
            f"`{' '.join(args.names)}` is no name of predictions",
            hint="one, of lower-case letters, digits and -",
        )
    if name in DATASETS:
        raise UsageError(
            f"`{name}` is the name of a data set", hint="call them by the model, such as panda-gpt-sims"
        )
    try:
        rows = len(read_imported(Path(args.predictions)))
    except InvalidData as error:
        raise InvalidSpec(error.message, hint=error.hint) from error
    place = here(args)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        shutil.copyfile(args.predictions, folder / FILE)
        facts = {"name": name, "source": "predictions", "licence": "", "rows": rows}
        digest = records.add_dataset(place.objects, name, folder, facts)
    print(f"{name}: {rows:,} predictions, digest {digest[:10]}")
    place.pin("datasets", {name: digest})
    return Exit.OK


# `data show SPEC`: the clips of an experiment as a page, for people to look through.


PAGE = "clips.html"


def gallery(args: Namespace) -> int:
    """Write the page and print where it is. Raises `UsageError` if nothing is prepared yet."""
    from c2f_spec.report import gallery as clips
    from c2f_spec.report.html import render
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.page_data import gallery_document

    _, plan, environment, root = compile_work(args)
    objects = open_store(store_url(environment, root))
    found = clips.gallery(plan, Outputs(plan, objects))
    if not found.sets:
        raise UsageError(
            f"no data set of `{found.name}` is prepared: {'; '.join(found.missing)}",
            hint=f"c2f-spec apply {args.specs[0]} --until prepare",
        )
    text = render(gallery_document(found))
    if args.out:
        place = Path(args.out)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        print(place)
    else:
        name = f"reports/{plan.folder}/{PAGE}"
        objects.replace(name, text.encode())
        print(objects.local(name) or f"{objects.url}/{name}")
    return Exit.OK
