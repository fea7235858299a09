"""`data show SPEC`: the clips of an experiment as a page, for people to look through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.work import compile_work
from c2f_spec.errors import Exit, WrongUsage
from c2f_spec.plan.compile import store_url
from c2f_spec.store.objects import open_objects

if TYPE_CHECKING:
    from argparse import Namespace

PAGE = "clips.html"


def gallery(args: Namespace) -> int:
    """Write the page and print where it is. Raises `WrongUsage` if nothing is prepared yet."""
    from c2f_spec.report import gallery as clips
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.page_gallery import html

    _, plan, environment, root = compile_work(args)
    objects = open_objects(store_url(environment, root))
    found = clips.gallery(plan, Outputs(plan, objects))
    if not found.sets:
        raise WrongUsage(
            f"no data set of `{found.name}` is prepared: {'; '.join(found.missing)}",
            hint=f"c2f-spec apply {args.specs[0]} --until prepare",
        )
    text = html(found)
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
