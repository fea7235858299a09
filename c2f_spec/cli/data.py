"""`data add`, `data check` and `data show`, and `model add`: stage, check and show what stages read.

A child process reads clips and transfers weights.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.output import note, relative
from c2f_spec.cli.workspace import compile_work, open_checkout, run_runtime
from c2f_spec.errors import Exit, InvalidData, InvalidSpec, UsageError, sanitize
from c2f_spec.language.lock_file import read_lock
from c2f_spec.language.suggestions import suggest
from c2f_spec.spec.base import NAME_PATTERN
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

MOST_CLIPS = 5
"""Clips that two data sets share and that the table names."""
PAGE = "clips.html"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
HUBS = ("hf", "modelscope")
MOST_NAMES = 6
"""Files of a model that were not staged and are named."""


def data(args: Namespace) -> int:
    if args.data_verb == "add":
        return _add(args) if args.predictions is None else _add_predictions(args)
    return _check(args) if args.data_verb == "check" else _show(args)


def _add(args: Namespace) -> int:
    """Stage and pin. A data set with terms is refused without `--accept-terms`, unless the lock has them accepted."""
    checkout = open_checkout(args)
    lock = read_lock(checkout.lock)
    pinned = lock.datasets
    terms = [name for name in args.names if name in DATASETS and not DATASETS[name].rendered]
    for name in args.names:
        if args.fetch and name not in DATASETS:
            raise UsageError(f"no data set `{name}`", hint=suggest(name, list(DATASETS)))
        if name in terms and not args.accept_terms and name not in lock.terms_accepted:
            raise UsageError(
                f"`{name}` is distributed under terms that its authors ask you to accept",
                hint="read them, and add --accept-terms if you accept them",
            )
    staged = [
        n for n in args.names if args.fetch and pinned.get(n) in records.datasets_present(checkout.store, n)
    ]
    for name in sorted(staged):
        print(f"{name}: already staged, digest {pinned[name][:10]}")
    names = [n for n in args.names if n not in staged]
    if not names:
        return Exit.OK
    source = ["--fetch"] if args.fetch else ["--from", args.source]
    code, answer = run_runtime("data", "add", *names, "--store", checkout.store_url, *source, capture=True)
    if code:
        return code
    added = [json.loads(line) for line in answer.splitlines()]
    for item in added:
        print(f"{item['name']}: {item['rows']:,} rows, digest {item['digest'][:10]}")
        if "own" in item:
            print(f"name it in a spec with\ndata:\n  own:\n    - {_flow(item['own'])}")
    checkout.write_pins("datasets", {item["name"]: item["digest"] for item in added})
    checkout.accept_terms(terms)
    return Exit.OK


def _check(args: Namespace) -> int:
    """Exit 4 if the copy differs from the published counts, or cannot be used as it is."""
    against = [word for other in args.against for word in ("--against", other)]
    code, answer = run_runtime("data", "check", args.name, "--from", args.source, *against, capture=True)
    if code:
        return code
    result = json.loads(answer)
    print(answer.strip() if args.output == "json" else _describe_check(result))
    return Exit.DIFFERENCE if result["problems"] else Exit.OK


def _describe_check(result: dict[str, Any]) -> str:
    counts = ", ".join(f"{n:,} {split}" for split, n in result["splits"].items())
    low, high = result["labels"]
    lines = [f"{result['name']}: {result['rows']:,} clips ({counts}), labels from {low:g} to {high:g}"]
    if result["seconds"]:
        lines.append(f"{result['seconds'] / 60:,.0f} minutes of recordings")
    for problem in result["problems"]:
        lines.append(f"problem: {problem['count']:,} {problem['what']}")
        lines += [f"  {example}" for example in problem["examples"]]
        if problem["count"] > len(problem["examples"]):
            lines.append(f"  and {problem['count'] - len(problem['examples']):,} more")
    lines += result["notes"]
    for overlap in result["overlap"]:
        split = ", ".join(f"{n:,} {name}" for name, n in overlap["by_split"].items()) or "none"
        lines.append(
            f"overlap with {overlap['with']}: {overlap['clips']:,} clips ({split}) by id, words or recording"
        )
        lines += [f"  {clip}" for clip in overlap["ids"][:MOST_CLIPS]]
        if overlap["clips"] > MOST_CLIPS:
            lines.append(f"  and {overlap['clips'] - MOST_CLIPS:,} more (all with -o json)")
    return "\n".join([*lines, *([] if result["problems"] else ["no problem found"])])


def _flow(value: Any) -> str:
    """Return YAML in one line. Every name and number in it is validated."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(each)}' for key, each in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_predictions(args: Namespace) -> int:
    """Stage and pin predictions of another code base for `evaluate.import`. Every line is read before it is stored."""
    from c2f_spec.metrics.answers import FILE, read_imported

    name, *more = args.names
    if more or not re.match(NAME_PATTERN, name):
        raise UsageError(
            f"`{' '.join(args.names)}` is not a valid name",
            hint="give one name, of lower-case letters, digits and -",
        )
    if name in DATASETS:
        raise UsageError(
            f"`{name}` is the name of a data set", hint="name them by the model, such as panda-gpt-sims"
        )
    try:
        rows = len(read_imported(Path(args.predictions)))
    except InvalidData as error:
        raise InvalidSpec(error.message, hint=error.hint) from error
    checkout = open_checkout(args)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        shutil.copyfile(args.predictions, folder / FILE)
        facts = {"name": name, "source": "predictions", "licence": "", "rows": rows}
        digest = records.add_dataset(checkout.store, name, folder, facts)
    print(f"{name}: {rows:,} predictions, digest {digest[:10]}")
    checkout.write_pins("datasets", {name: digest})
    return Exit.OK


def _show(args: Namespace) -> int:
    """Write a page with the clips of an experiment and print where it is. Raise `UsageError` if nothing is prepared."""
    from c2f_spec.report.gallery import gallery
    from c2f_spec.report.html import render
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.page_data import gallery_document

    work = compile_work(args)
    clips = gallery(work.plan, Outputs(work.plan, work.store))
    if not clips.sets:
        raise UsageError(
            f"no data set of `{clips.name}` is prepared: {'; '.join(clips.missing)}",
            hint=f"run `c2f-spec apply {work.spec} --until prepare`",
        )
    text = render(gallery_document(clips))
    if args.out:
        place = Path(args.out)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        print(place)
    else:
        name = f"reports/{work.plan.folder}/{PAGE}"
        work.store.replace(name, text.encode())
        print(work.store.local(name) or f"{work.store.url}/{name}")
    return Exit.OK


def model(args: Namespace) -> int:
    """Stage released weights and pin them. Exit 4 if the staged files are not those that the lock pins."""
    name = _check_name(args)
    checkout = open_checkout(args)
    pin = read_lock(checkout.lock).models.get(name)
    if args.source in HUBS and pin in records.models_present(checkout.store, name):
        print(f"{name}: already staged, digest {pin[:10]}")
        return Exit.OK
    where = ["--at", args.at] if args.at else []
    source = ["--store", checkout.store_url, "--from", args.source, *where]
    code, answer = run_runtime("model", "add", name, *source, capture=True)
    if code:
        return code
    staged = json.loads(answer)
    print(f"{name}: {staged['files']} files, {staged['bytes'] / 1e9:,.2f} GB, digest {staged['digest'][:10]}")
    if skipped := staged["left_out"]:
        more = f" and {len(skipped) - MOST_NAMES} more" if len(skipped) > MOST_NAMES else ""
        print(sanitize(f"left out: {', '.join(skipped[:MOST_NAMES])}{more}"))
    if pin not in (None, staged["digest"]):
        print(f"not pinned: {relative(checkout.lock)} has {pin[:10]}, a copy of other files")
        note(f"`c2f-spec lock --pin {name}={staged['digest'][:10]}` takes this one, and changes keys")
        return Exit.DIFFERENCE
    checkout.write_pins("models", {name: staged["digest"]})
    return Exit.OK


def _check_name(args: Namespace) -> str:
    """Return `repository@revision`. Raise `UsageError` if one of them is invalid."""
    if not REPOSITORY.fullmatch(args.repository):
        raise UsageError(
            f"`{args.repository}` is not a repository",
            hint="name it as owner/name, for example Qwen/Qwen2.5-Omni-7B",
        )
    if not COMMIT.fullmatch(args.revision):
        raise UsageError(
            f"`{args.revision}` is not a full commit hash: a branch or tag may mean other files tomorrow",
            hint="give the 40 hex digits that the hub shows beside the branch",
        )
    if args.at and args.source not in HUBS:
        raise UsageError("`--at` is a hub's name of the revision", hint="remove it: --from is a folder")
    return f"{args.repository}@{args.revision}"
