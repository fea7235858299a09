"""evaluate, of a model of another code base: its predictions, held against the clips -> rows as ours.

Reads   prepare/ the evaluated data set; data/ the staged predictions
Writes  predictions.jsonl as `runtime/stages/evaluate.py` does

A clip that it did not answer is a prediction without a score, as METHOD 4.5 counts it; a clip that the split does not have,
or a label that is not the clip's, is an error: the predictions are of something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.imported_predictions import FILE, Imported, read_imported
from runtime.console import log_line
from runtime.text.clips import read_manifest, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.process.context import Context
    from runtime.text.clips import Clip

NEAR = 0.051
"""Labels that agree but for how many decimals were written."""


def run(ctx: Context) -> dict[str, Any]:
    """Counts of clips, of those that have a score, and of those that the other model did not answer."""
    name = ctx.stage.preimage["spec"]["import"]
    clips = read_manifest(ctx.inputs["prepare"], "test")
    if not clips:
        raise InvalidData("the prepared data set has no clips in the split `test`")
    answers = read_imported(ctx.inputs["data"] / FILE)
    assert_same_clips(name, clips, answers)
    rows = [row(clip, answers.get(clip.id)) for clip in clips]
    write_jsonl(ctx.out / "predictions.jsonl", rows)
    missing = sum(clip.id not in answers for clip in clips)
    if missing:
        log_line(
            f"warning: `{name}` has no prediction for {missing} of {len(clips)} clips; they count as unparsable"
        )
    return {"clips": len(rows), "scored": sum(r["score"] is not None for r in rows), "missing": missing}


def assert_same_clips(name: str, clips: Sequence[Clip], answers: Mapping[str, Imported]) -> None:
    """Raises `InvalidData` naming a clip that is not of the split, or whose label is another."""
    labels = {clip.id: clip.label for clip in clips}
    strange = sorted(answers.keys() - labels.keys())
    if strange:
        raise InvalidData(
            f"`{name}` has predictions for {len(strange)} clips that the test split does not have, such as `{strange[0]}`",
            hint=f"ids are written as in the manifest, such as `{clips[0].id}`; leave other splits out",
        )
    for clip_id, answer in answers.items():
        if answer.label is not None and abs(answer.label - labels[clip_id]) > NEAR:
            raise InvalidData(
                f"`{name}` says that `{clip_id}` has the label {answer.label:g}, and it has {labels[clip_id]:g}",
                hint="are these predictions of another data set, or of an older copy of it?",
            )


def row(clip: Clip, answer: Imported | None) -> dict[str, Any]:
    """As of our own models, which say a polarity too."""
    score = answer.prediction if answer else None
    reason = "missing" if answer is None else "unparsable"
    return {
        "id": clip.id,
        "label": clip.label,
        "true": clip.polarity,
        "output": answer.output if answer else "",
        "polarity": None,
        "score": score,
        "well_formed": False,
        "ended": True,
        "failure": None if score is not None else {"reason": reason, "message": "no prediction"},
    }
