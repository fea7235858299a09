"""Collect the filters' funnel, and chains and answers to read, each with its clip.

Examples are the first of each kind in file order: chosen by rule, not by beauty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.metrics.answers import finite
from c2f_spec.report import numbers
from c2f_spec.report.report_data import Example, Examples, Funnel, FunnelRow
from c2f_spec.report.thumbnails import NOT_STORED, Thumbnail, thumbnail
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.formats import POLARITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Output, Outputs


COUNT = 3
"""Examples of each kind."""
LONGEST = 4000
"""Most characters of a text."""

Row = dict[str, Any]


def funnel(outputs: Outputs, variant: Variant) -> Funnel | None:
    """Return how many chains each filter dropped; `None` if the variant filters nothing."""
    filtered = outputs.find(variant, "filter")
    if filtered is None:
        return None
    data = filtered.json("funnel.json")
    if not data:
        return Funnel(filtered.state or "no funnel", (), ())
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


def kept_chains(outputs: Outputs, variant: Variant) -> Examples | None:
    """Return the first kept chain of each polarity; `None` if the variant filters nothing."""
    filtered = outputs.find(variant, "filter")
    if filtered is None:
        return None
    clips = _Clips(outputs, variant, variant.experiment.data.train)
    rows = _select_varied(filtered.rows("chains.jsonl"), lambda row: clips.row(row).get("polarity"))
    note = "The first in the order of the data set, of each polarity where there is one."
    return clips.examples("Chains that were kept", note, filtered, rows, lambda _: "kept", "text")


def dropped_chains(outputs: Outputs, variant: Variant) -> Examples | None:
    """Return the first chain that each filter dropped; `None` if the variant filters nothing."""
    filtered = outputs.find(variant, "filter")
    if filtered is None:
        return None
    clips = _Clips(outputs, variant, variant.experiment.data.train)
    rows = _select_varied(filtered.rows("dropped.jsonl"), lambda row: row.get("filter"))
    note = "The first in the order of the data set, of each filter where it dropped any."

    def outcome(row: Row) -> str:
        return f"dropped by {row.get('filter')}: {row.get('reason')}"

    return clips.examples("Chains that were dropped", note, filtered, rows, outcome, "text")


def answers(outputs: Outputs, variant: Variant) -> Examples | None:
    """Return answers of the last checkpoint on the training data set's test split; `None` if nothing is evaluated."""
    evaluate = variant.experiment.evaluate
    if evaluate is None:
        return None
    train = variant.experiment.data.train
    dataset = train if train in evaluate.datasets else evaluate.datasets[0]
    checkpoint = next(c for c in reversed(CHECKPOINTS) if c in evaluate.checkpoints)
    evaluated = outputs.find(variant, "evaluate", checkpoint=checkpoint, dataset=dataset)
    if evaluated is None:
        return None
    clips = _Clips(outputs, variant, dataset)
    rows = _select_varied(
        evaluated.rows("predictions.jsonl"), lambda row: (_describe_outcome(row), row.get("true"))
    )
    title = f"Answers of {checkpoint} on {dataset}"
    note = "The first test clips in the order of the data set, of each outcome where there is one."
    return clips.examples(title, note, evaluated, rows, _describe_outcome, "output")


def _describe_outcome(row: Row) -> str:
    score = finite(row.get("score"))
    if score is None:
        return "no score could be read"
    if row.get("polarity") is None:
        return f"score {numbers.label(score)}"
    right = "right" if row.get("polarity") == row.get("true") else "wrong"
    return f"{right} polarity" + ("" if row.get("well_formed") is True else ", not well-formed")


def _select_varied(rows: Iterable[Row], kind: Callable[[Row], Any]) -> list[Row]:
    """Return the first row of each kind, then the next ones, `COUNT` in all and in file order."""
    kinds: set[Any] = set()
    first: list[tuple[int, Row]] = []
    rest: list[tuple[int, Row]] = []
    for place, row in enumerate(rows):
        group = str(kind(row))
        (rest if group in kinds else first).append((place, row))
        kinds.add(group)
    return [row for _, row in sorted((first + rest)[:COUNT], key=lambda pair: pair[0])]


class _Clips:
    """The clips of a prepared data set by their ids."""

    def __init__(self, outputs: Outputs, variant: Variant, dataset: str) -> None:
        self.prepared = prepared = outputs.find(variant, "prepare", dataset=dataset)
        self.rows = {str(r.get("id")): r for r in prepared.rows("manifest.jsonl")} if prepared else {}

    def row(self, row: Row) -> Row:
        return self.rows.get(str(row.get("id")), {})

    def examples(
        self,
        title: str,
        note: str,
        source: Output,
        rows: list[Row],
        outcome: Callable[[Row], str],
        field: str,
    ) -> Examples:
        """Return an example for each row of `source`, whose text is its `field`."""
        examples = tuple(self._example(row, outcome(row), row.get(field)) for row in rows)
        return Examples(title, note, source.state or ("" if rows else "none"), examples)

    def _example(self, row: Row, outcome: str, body: Any) -> Example:
        clip = self.row(row)
        media = self.prepared.file(str(clip.get("media"))) if self.prepared else None
        picture = thumbnail(media) if media else Thumbnail(None, b"", NOT_STORED)
        return Example(
            id=str(row.get("id")),
            outcome=outcome,
            text=_cut(str(clip.get("text", ""))),
            label=finite(clip.get("label", row.get("label"))),
            polarity=str(clip.get("polarity", row.get("true", ""))),
            body=_cut(str(body or "")),
            jpeg=picture.jpeg,
            no_picture=picture.no_picture,
        )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
