"""Take results out of the store: `get` copies outputs of stages, `export` writes a student, and `predict` uses it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.expand import choose_variant
from c2f_spec.cli.output import relative
from c2f_spec.cli.workspace import choose_stages, compile_work, run_runtime
from c2f_spec.errors import Exit, UsageError
from c2f_spec.keys import TRAINING
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Output, Outputs
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore


def get(args: Namespace) -> int:
    """Copy outputs, every byte compared with the record. Exit 4 if some stages have none yet.

    Raises `UsageError` instead of overwriting anything.
    """
    work = compile_work(args)
    missing = 0
    for stage in choose_stages(work.plan, args.stage):
        folder = Path(args.to) / stage.name
        record = records.read_record(work.store, stage.kind, stage.key)
        if record is None:
            print(f"{stage.name}  {stage.label}: not done")
            missing += 1
            continue
        new = _copy(work.store, record, folder)
        size = sum(entry.size for entry in record.files.values())
        result = f"{len(record.files):,} files, {size / 1e6:,.1f} MB" if new else "unchanged"
        print(f"{relative(folder)}  {stage.label}: {result}")
    return Exit.DIFFERENCE if missing else Exit.OK


def _copy(store: ObjectStore, record: Record, folder: Path) -> bool:
    """Return whether files were copied: not if the folder has them already. It appears whole, by a rename."""
    if folder.exists():
        existing = digest_folder(folder)
        if existing.keys() == record.files.keys() and all(
            existing[n].same_content(e) for n, e in record.files.items()
        ):
            return False
        raise UsageError(
            f"{folder} has other files than this stage", hint="remove it, or name another folder"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(records.fetch(store, record), part)
    part.rename(folder)
    return True


def export(args: Namespace) -> int:
    """Write a trained student for use without this project."""
    from c2f_spec.report.card import card
    from c2f_spec.report.outputs import Outputs

    work = compile_work(args)
    plan, folder = work.plan, Path(args.folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name a new folder")
    variant = plan.variants[choose_variant([v.name for v in plan.variants], args.variant)]
    outputs = Outputs(plan, work.store)
    model = _find_trained(outputs, variant, args.checkpoint)
    train = variant.experiment.data.train
    inputs = {"model": model, "prepare": outputs.find(variant, "prepare", dataset=train)}
    if args.chains:
        inputs["filter"] = outputs.find(variant, "filter")
    job = {
        "folders": {role: str(_fetch(role, output, work.spec)) for role, output in inputs.items()},
        "out": str(folder),
        "spec": {name: model.stage.preimage["spec"].get(name, {}) for name in ("format", "media")},
        "keys": {plan.stage(key).name: key for key in variant.stages},
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        code, _ = run_runtime("export", str(path))
    if code:
        return code
    prompts = json.loads((folder / "c2f.json").read_text(encoding="utf-8"))["prompts"]
    (folder / "README.md").write_text(card(outputs, variant, model, prompts), encoding="utf-8")
    print(f"{model.stage.name} is in {relative(folder)}: README.md says how to load it")
    return Exit.OK


def _find_trained(outputs: Outputs, variant: Variant, checkpoint: str | None) -> Output:
    """Return the stage whose model is exported: the one that is named, else the last that the spec trains."""
    for kind in (checkpoint,) if checkpoint else reversed(TRAINING):
        if (output := outputs.find(variant, kind)) is not None:
            return output
    raise UsageError(
        f"the spec trains no `{checkpoint}`" if checkpoint else "the spec trains nothing",
        hint="the untouched student is where its weights came from",
    )


def _fetch(role: str, output: Output | None, spec: str) -> Path:
    """Return a folder with the committed files of a stage. Raise `UsageError` if there are none."""
    if output is None:
        raise UsageError(f"the spec has no stage `{role}`", hint="remove --chains")
    if output.record is None or output.state:
        raise UsageError(
            f"{output.stage.name} has no output: {output.state}", hint=f"run `c2f-spec apply {spec}`"
        )
    return records.fetch(output.store, output.record)


def predict(args: Namespace) -> int:
    """Predict clips with an exported student. Lines of JSON go to stdout, or to `--out`."""
    argv = ["--out", args.out] if args.out else []
    argv += ["--language", args.language] if args.language else []
    argv += ["--without-text"] if args.without_text else []
    return run_runtime("predict", args.model, args.clips, *argv)[0]
