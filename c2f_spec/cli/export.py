"""`export SPEC DIR`: what was trained, for use without this project."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli import output as output_module
from c2f_spec.cli.runtime_process import runtime
from c2f_spec.cli.workspace import compile_work
from c2f_spec.errors import Exit, UsageError
from c2f_spec.language.suggestions import suggest
from c2f_spec.plan.compile import store_url
from c2f_spec.report.card import card
from c2f_spec.report.outputs import Outputs
from c2f_spec.store import records
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.report.outputs import Output

TRAINED = ("grpo", "sft")
"""The last one first."""


def export(args: Namespace) -> int:
    _, plan, environment, root = compile_work(args)
    objects = open_store(store_url(environment, root))
    folder = Path(args.folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name a new folder")
    variant = _variant(plan, args.variant)
    outputs = Outputs(plan, objects)
    model = _trained(outputs, variant, args.checkpoint)
    wanted = {"model": model, "prepare": outputs.find(variant, "prepare", dataset=_train(variant))}
    if args.chains:
        wanted["filter"] = outputs.find(variant, "filter")
    job = {
        "folders": {role: str(_fetched(role, output)) for role, output in wanted.items()},
        "out": str(folder),
        "spec": {name: model.stage.preimage["spec"].get(name, {}) for name in ("format", "media")},
        "keys": {outputs.plan.stage(key).name: key for key in variant.stages},
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        if code := runtime("export", str(path)):
            return code
    text = card(outputs, variant, model, _prompts(folder))
    (folder / "README.md").write_text(text, encoding="utf-8")
    print(f"{model.stage.name} is in {output_module.relative(folder)}: README.md says how to load it")
    return Exit.OK


def _variant(plan: Plan, name: str | None) -> Variant:
    names = [variant.name for variant in plan.variants]
    if name is None and len(names) > 1:
        raise UsageError(
            f"the spec has {len(names)} variants",
            hint=f"choose one with --variant: {', '.join(names[:5])}, …",
        )
    if name is not None and name not in names:
        raise UsageError(f"the spec has no variant `{name}`", hint=suggest(name, names))
    return plan.variants[names.index(name) if name else 0]


def _train(variant: Variant) -> str:
    return variant.experiment.data.train


def _trained(outputs: Outputs, variant: Variant, checkpoint: str | None) -> Output:
    """The stage whose model is wanted; without a name the last that the spec trains."""
    for kind in (checkpoint,) if checkpoint else TRAINED:
        if (found := outputs.find(variant, kind)) is not None:
            return found
    raise UsageError(
        f"the spec trains no `{checkpoint}`" if checkpoint else "the spec trains nothing",
        hint="the untouched student is where its weights came from",
    )


def _fetched(role: str, output: Output | None) -> Path:
    """A folder with the committed files of a stage. Raises `UsageError` if there are none."""
    if output is None:
        raise UsageError(f"the spec has no stage `{role}`", hint="leave out --chains")
    if output.record is None or output.state:
        raise UsageError(
            f"{output.stage.name} has no output: {output.state}", hint="`c2f-spec apply` makes it"
        )
    return records.fetch(output.store, output.record)


def _prompts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "c2f.json").read_text(encoding="utf-8"))["prompts"]
    return found
