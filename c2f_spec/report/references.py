"""`report.json`: the plan, the stages and the copies of data that a report shows, as data for `gc`.

`gc` decides by this file what a report still needs, never by the words on its pages. It stands beside them in the store.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2f_spec.plan.model import Plan

FILE = "report.json"
VERSION = 1


class References(NamedTuple):
    """The objects of a store that a report refers to."""

    plan: str
    """Digest of the plan."""
    stages: frozenset[str]
    """Keys."""
    copies: frozenset[str]
    """Staged data sets and models: `datasets/<name>/<digest>`, `models/<repository>/<revision>/<digest>`."""


def to_json(plan: Plan) -> str:
    """Return the content of `report.json` for a report of `plan`."""
    value = {
        "format_version": VERSION,
        "plan": plan.digest,
        "stages": {stage.key: stage.label for stage in plan.stages},
        "copies": sorted({copy for stage in plan.stages for copy in copies(stage.preimage)}),
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def from_json(data: bytes) -> References | None:
    """Parse a `report.json`; return `None` if it is not of this version or damaged."""
    try:
        value = json.loads(data)
        if value["format_version"] != VERSION:
            return None
        return References(str(value["plan"]), frozenset(value["stages"]), frozenset(value["copies"]))
    except (ValueError, TypeError, KeyError):
        return None


def copies(preimage: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of the staged copies that a stage with this preimage reads."""
    data, models = preimage.get("data"), preimage.get("models")
    if isinstance(data, dict):
        yield f"datasets/{data['name']}/{data['digest']}"
    if isinstance(models, dict):
        yield from (f"models/{name.replace('@', '/')}/{digest}" for name, digest in models.items())
