"""Memory and time against the estimate, and coefficients for the environment, by METHOD 8.4 and 8.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cost.sizes import GIB, size_of
from c2f_spec.spec.coefficients import Coefficients
from c2f_spec.store import records
from tests.gpu_smoke.place import ENVIRONMENT, Place
from tests.gpu_smoke.stages import variant
from tests.gpu_smoke.table import Row, check

if TYPE_CHECKING:
    from c2f_spec.cli.workspace import Workspace

LOW = 1.3
"""So far below what is measured an estimate may lie (METHOD 8.4: up to 30 %)."""
PASSES = {"full": 8, "lora": 6}
"""Operations of a training step for a parameter and a token (METHOD 8.5)."""
USUAL = Coefficients()


def against_estimates(work: Workspace, place: Place) -> list[Row]:
    rows = []
    for stage in work.plan.stages:
        if stage.kind not in ("sft", "grpo"):
            continue
        what = f"{stage.kind} {variant(work, stage)}: memory and time"
        record = records.read_record(work.store, stage.kind, stage.key)
        measured = (record.provenance if record else {}).get("measured", {})
        peak = measured.get("peak_gpu_bytes")
        if not place.gpus or peak is None:
            host = measured.get("peak_rss_bytes", 0) / GIB
            detail = f"no GPU; {measured.get('step_seconds', 0):g} s a step, {host:.1f} GiB of the host"
            rows.append(Row(what, "not run", detail))
            continue
        estimate, steps = stage.load.memory, measured["steps"]
        each = stage.load.work / steps
        detail = f"peak {peak / GIB:.1f} GiB, estimated {estimate / GIB:.1f}; a step {measured['step_seconds']:.1f} s, "
        rows.append(check(what, peak <= LOW * estimate, f"{detail}estimated {each:.1f}"))
    return rows


def coefficients(work: Workspace, place: Place) -> Row:
    """Write an environment with what was measured; its name is what specs would say."""
    what = "coefficients in the environment"
    if not place.gpus:
        return Row(what, "not run", "no GPU was measured")
    found: dict[str, float] = {}
    size = size_of(work.loaded[0].experiment.student.model)
    assert size is not None
    for stage in work.plan.stages:
        record = records.read_record(work.store, stage.kind, stage.key)
        measured = (record.provenance if record else {}).get("measured", {})
        how = variant(work, stage)
        if stage.kind == "sft" and how == "lora" and measured.get("tokens_per_second"):
            done = PASSES[how] * size.active * measured["tokens_per_second"] / place.gpus
            found["train_utilisation"] = round(min(1.0, done / USUAL.flops), 3)
        if stage.kind == "grpo" and measured.get("generation_seconds"):
            longest = next(
                v.experiment for v in work.plan.variants if stage.key in v.stages
            ).grpo.max_new_tokens
            each = max(measured["generation_seconds"] - USUAL.batch_seconds, 1e-3) / longest
            if how == "lora" or place.vllm:
                found["token_seconds" if how == "lora" else "vllm_token_seconds"] = round(each, 4)
    file = place.root / "k8s" / "environments" / "measured.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"  {name}: {value:g}\n" for name, value in sorted(found.items()))
    file.write_text(
        f"{ENVIRONMENT.format(gpus=place.gpus)}coefficients: # measured by make gpu-smoke\n{lines}"
    )
    return check(what, len(found) >= 2, f"{', '.join(found)} in {file.relative_to(place.root)}")
