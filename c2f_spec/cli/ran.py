"""A spec and what ran of it: the newest plan in the store that has its variants."""

from __future__ import annotations

import os
from pathlib import Path

from c2f_spec.diff.sides import Side, place_of, side
from c2f_spec.errors import C2fError, WrongUsage
from c2f_spec.files import DISK
from c2f_spec.plan.compile import load_environment, load_variants, repository, store_url
from c2f_spec.plan.saved import from_json
from c2f_spec.store.objects import open_objects

MOST_PLANS = 200
"""So many plans are looked into, newest first."""


def of_what_ran(spec: str, on: str | None, environments: Path | None) -> tuple[Side, Side]:
    """Raises `WrongUsage` if nothing of the spec ran in the store of its environment."""
    root = repository(Path(spec))
    place = place_of(DISK, spec, Path(os.path.realpath(root)), on, environments)
    name = os.path.relpath(os.path.realpath(spec), place.root)
    new = side(place, [name])
    if name in new.broken:
        load_variants(Path(spec))  # raises with every problem at its place
    names = {v.name for v in new.plans[name].variants}
    environment = load_environment(new.plans[name].environment_name, root, environments)
    objects = open_objects(store_url(environment, root))
    listed = sorted(objects.listing("plans"), key=lambda item: item.modified, reverse=True)
    for item in listed[:MOST_PLANS]:
        try:
            plan = from_json(objects.read(item.name) or b"", item.name)
        except C2fError:
            continue  # of another version
        if names & {v.name for v in plan.variants}:
            return Side(f"what ran (plan {plan.digest[:10]})", {name: plan}), new
    raise WrongUsage(f"nothing of {spec} ran in {objects.url}", hint="`plan` shows what would run")
