"""`report`: write the pages and tables of what is done, or compare the tables with committed ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note
from c2f_spec.cli.workspace import compile_work
from c2f_spec.errors import Exit, UsageError
from c2f_spec.report import outputs

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore

TABLES = ("tables.csv", "tables.md", "tables.tex")


def report(args: Namespace) -> int:
    """Write the report. With `--check`, exit 4 if a table that was committed to a folder differs from the results."""
    work = compile_work(args)
    if args.check:
        return _check(render_pages(work.plan, work.store), Path(args.check))
    print(write_report(work.plan, work.store, Path(args.out) if args.out else None))
    return Exit.OK


def render_pages(plan: Plan, store: ObjectStore) -> dict[str, str]:
    """Return files by name: what `gc` decides by, the page in HTML and in Markdown, and the tables if a spec has any."""
    from c2f_spec.plan.hypotheses import register
    from c2f_spec.report.collect import collect
    from c2f_spec.report.outline import html, markdown
    from c2f_spec.report.table_files import as_csv, as_latex, as_markdown

    register(plan, store)
    collected = collect(plan, store)
    files = {
        outputs.REFERENCES_FILE: outputs.references_json(plan),
        "report.html": html(collected),
        "report.md": markdown(collected),
    }
    if collected.tables:
        tables = (form(collected.tables) for form in (as_csv, as_markdown, as_latex))
        files |= dict(zip(TABLES, tables, strict=True))
    return files


def write_report(plan: Plan, store: ObjectStore, folder: Path | None) -> str:
    """Write the report into the store or into `folder`, and return where the HTML page is."""
    files = render_pages(plan, store)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return str(folder / "report.html")
    # report.json comes first: a report that is interrupted must have what `gc` decides by.
    for name, text in files.items():
        store.replace(f"reports/{plan.folder}/{name}", text.encode())
    return report_place(plan, store)


def read_report(plan: Plan, store: ObjectStore) -> dict[str, bytes]:
    """Return the files of the report in the store by name; none if it is not written yet."""
    folder = f"reports/{plan.folder}"
    files = store.read_many(list(store.names(folder)))
    return {name.removeprefix(f"{folder}/"): data for name, data in files.items()}


def report_place(plan: Plan, store: ObjectStore) -> str:
    """Return the path of the HTML page, or its address in a bucket."""
    name = f"reports/{plan.folder}/report.html"
    return str(store.local(name) or f"{store.url}/{name}")


def track(plan: Plan, store: ObjectStore, uri: str | None) -> None:
    """Send what is new to the tracker, with the report. A tracker that cannot be reached changes nothing else."""
    if uri is None:
        return
    from c2f_spec.execution.tracking import track_new

    if problem := track_new(plan, store, uri, lambda: read_report(plan, store)):
        note(problem)


def _check(files: dict[str, str], folder: Path) -> int:
    committed = [name for name in TABLES if (folder / name).is_file()]
    if not committed:
        raise UsageError(
            f"{folder} holds none of {', '.join(TABLES)}",
            hint="add `tables` to the spec, and write them with --out",
        )
    differ = False
    for name in committed:
        old, new = (folder / name).read_text(encoding="utf-8").splitlines(), files.get(name, "").splitlines()
        for number in range(max(len(old), len(new))):
            was, now = (lines[number] if number < len(lines) else "(no line)" for lines in (old, new))
            if was != now:
                print(f"{folder / name}:{number + 1}\n  committed  {was}\n  now        {now}")
                differ = True
    if not differ:
        print(f"{', '.join(committed)} as committed")
    return Exit.DIFFERENCE if differ else Exit.OK
