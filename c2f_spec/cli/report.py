"""`report`: the pages and tables of whatever is done, written, or held against committed ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import compile_work
from c2f_spec.errors import Exit, UsageError
from c2f_spec.plan.compile import store_url
from c2f_spec.report import references
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore

TABLES = ("tables.csv", "tables.md", "tables.tex")


def report(args: Namespace) -> int:
    """With `--check`, exit 4 if a table that was committed to a folder is no longer what comes out."""
    _, plan, environment, root = compile_work(args)
    objects = open_store(store_url(environment, root))
    if args.check:
        return _check(pages(plan, objects), Path(args.check))
    print(write_report(plan, objects, Path(args.out) if args.out else None))
    return Exit.OK


def pages(plan: Plan, objects: ObjectStore) -> dict[str, str]:
    """Name to text: the page, its Markdown twin, and the tables if a spec names or defines any."""
    from c2f_spec.plan.hypotheses import register
    from c2f_spec.report.collect import collect
    from c2f_spec.report.outline import html, markdown
    from c2f_spec.report.table_files import as_csv, as_latex, as_markdown

    register(plan, objects)
    collected = collect(plan, objects)
    found = {"report.html": html(collected), "report.md": markdown(collected)}
    if collected.tables:
        made = (form(collected.tables) for form in (as_csv, as_markdown, as_latex))
        found |= dict(zip(TABLES, made, strict=True))
    return found


def write_report(plan: Plan, objects: ObjectStore, folder: Path | None) -> str:
    """Everything into the store or into `folder`; returns where the HTML page is."""
    found = pages(plan, objects)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in found.items():
            (folder / name).write_text(text, encoding="utf-8")
        return str(folder / "report.html")
    # `report.json` goes first: a report that is interrupted must not lack what `gc` decides by.
    for name, text in {references.FILE: references.to_json(plan), **found}.items():
        objects.replace(f"reports/{plan.folder}/{name}", text.encode())
    return report_place(plan, objects)


def written(plan: Plan, objects: ObjectStore) -> dict[str, bytes]:
    """The files of the report that is in the store, by name; none if it was not written yet."""
    folder = f"reports/{plan.folder}"
    found = objects.read_many(list(objects.names(folder)))
    return {name.removeprefix(f"{folder}/"): data for name, data in found.items()}


def report_place(plan: Plan, objects: ObjectStore) -> str:
    """A path, or the address in a bucket."""
    name = f"reports/{plan.folder}/report.html"
    return str(objects.local(name) or f"{objects.url}/{name}")


def _check(found: dict[str, str], folder: Path) -> int:
    committed = [name for name in TABLES if (folder / name).is_file()]
    if not committed:
        raise UsageError(
            f"{folder} holds none of {', '.join(TABLES)}",
            hint="name `tables` in the spec, and write them with --out",
        )
    differ = False
    for name in committed:
        old, new = (folder / name).read_text(encoding="utf-8").splitlines(), found.get(name, "").splitlines()
        for number in range(max(len(old), len(new))):
            was, now = (lines[number] if number < len(lines) else "(no line)" for lines in (old, new))
            if was != now:
                print(f"{folder / name}:{number + 1}\n  committed  {was}\n  now        {now}")
                differ = True
    if not differ:
        print(f"{', '.join(committed)} as committed")
    return Exit.DIFFERENCE if differ else Exit.OK
