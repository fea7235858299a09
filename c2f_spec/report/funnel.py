"""funnel.json of the filter stage → how many clips each filter dropped or the teacher failed, in all, by split and by polarity
(METHOD 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.report.model import Funnel, FunnelRow

if TYPE_CHECKING:
    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Outputs

POLARITIES = ("negative", "neutral", "positive")


def funnel(outputs: Outputs, variant: Variant) -> Funnel | None:
    """`None` if the variant filters nothing."""
    found = outputs.find(variant, "filter")
    if found is None:
        return None
    data = found.json("funnel.json")
    if not data:
        return Funnel(found.state or "no funnel", (), ())
    by_polarity, by_split = _map(data.get("by_polarity")), _map(data.get("by_split"))
    names = [*POLARITIES, *sorted(set(by_polarity) - set(POLARITIES))]
    splits = list(by_split)
    rows = (
        _row(f"all ({splits[0]})" if len(splits) == 1 else "all", data),
        *(_row(name, _map(by_split[name])) for name in splits if len(splits) > 1),
        *(_row(name, _map(by_polarity[name])) for name in names if name in by_polarity),
    )
    filters = tuple(dict.fromkeys(name for row in rows for name in row.dropped))
    return Funnel("", rows, filters)


def _row(name: str, data: dict[str, Any]) -> FunnelRow:
    dropped = {str(k): int(v) for k, v in _map(data.get("dropped")).items()}
    dropped |= {f"no answer: {k}": int(v) for k, v in _map(data.get("failed")).items()}
    return FunnelRow(name, int(data.get("in", 0)), int(data.get("kept", 0)), dropped)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
