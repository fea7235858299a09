"""Select the weights with the least MAE on the validation split (METHOD 9; never on test), for `select: best_valid`.

Candidates are the ends of the tenths of training. They do not depend on when checkpoints are taken, which the placement
sets. Each answers the validation split greedily, without hints; an answer without a score costs the largest
error on its side (METHOD 4.5); of equals the earlier is the result. The best so far lies in the store:

    work/<kind>/<key>/best/<attempt>-<step>/weights-*.safetensors
    work/<kind>/<key>/best.json                  which it is; replaced once a better one is stored completely

so that a resumed run has it. Candidates of a resumed run are those of an undisturbed one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.metrics.scoring import score
from c2f_spec.spec.datasets import Dataset
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.store.cache import fetch_verified
from c2f_spec.store.digest import digest_folder
from runtime.checkpoints.trainer_state import copy_to_cpu, restore_weights, saved_weights, write_tensors
from runtime.console import log_line
from runtime.models.batches import prompt_batch
from runtime.models.thinker import generation_config
from runtime.text.chains import parse_answer
from runtime.training.train import train
from runtime.training.trainer_arguments import report_out_of_memory
from runtime.training.tuner import save_trained

if TYPE_CHECKING:
    from runtime.models.rows import Reader
    from runtime.models.thinker import Student
    from runtime.process.context import Context
    from runtime.training.metrics_callback import MetricsCallback

CANDIDATES = 10


class BestValid(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Measures `trainer` on the validation clips of `reader`, and at the end restores the best weights."""

    def __init__(
        self, ctx: Context, trainer: Any, reader: Reader, tokenizer: Any, *, rows: int, max_new_tokens: int
    ) -> None:
        """`rows` is the number of clips in a batch. Raises `InvalidStageSpec` where no process has whole weights."""
        if ctx.stage.placement.zero_stage(ctx.world) == "3":
            raise InvalidStageSpec(
                "`select: best_valid` is not supported with ZeRO 3, where no process has whole weights",
                hint="set `select: last`, or set `zero: 2` under `resources`",
            )
        self._ctx, self._trainer, self._reader = ctx, trainer, reader
        self._tokenizer, self._rows = tokenizer, rows
        self._ids = reader.ids("valid")
        self._settings = generation_config(tokenizer, max_new_tokens, 0.0)
        self._name = f"work/{ctx.stage.kind}/{ctx.stage.key}/best"
        facts = (reader.language, reader.low, reader.high, reader.family)
        self._dataset = Dataset("", "", *facts)  # type: ignore[arg-type]  # checked when it was prepared

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer on all ranks after each optimiser step, before a checkpoint of that step."""
        del args, control
        if state.global_step not in candidate_steps(state.max_steps):
            return
        mae = self.mae()
        self._ctx.log(state.global_step, **{"valid/mae": mae})
        if self._ctx.rank == 0:
            before = self._best()
            if before is None or mae < before["mae"]:
                self._keep(state.global_step, mae, before)

    def restore_best(self) -> dict[str, float]:
        """Restore the best weights into the trainer, and return their step and MAE; called by all ranks after training."""
        if self._ctx.world > 1:
            torch.distributed.barrier()  # rank 0 has stored the last candidate
        best = self._best()
        assert best is not None, "the last step is a candidate"
        files = {name: FileEntry.model_validate(entry) for name, entry in best["files"].items()}
        folder = fetch_verified(self._ctx.store, best["folder"], files, None, "start the stage again")
        restore_weights(self._trainer, folder)
        log_line(f"selected step {best['step']}: MAE {best['mae']:.4f} on {len(self._ids)} validation clips")
        return {"selected_step": best["step"], "valid_mae": best["mae"]}

    def mae(self) -> float:
        """Return the MAE of the current weights; ranks share the clips."""
        ctx = self._ctx
        own = [row for ids in self._parts(self._ids[ctx.rank :: ctx.world]) for row in self._answered(ids)]
        every_rank: list[Any] = [own]
        if ctx.world > 1:
            every_rank = [None] * ctx.world
            torch.distributed.all_gather_object(every_rank, own)
        found = score([row for rows in every_rank for row in rows], self._dataset, "worst_case", tags=False)
        return float(found["MAE"])

    def _parts(self, ids: list[str]) -> list[list[str]]:
        return [ids[at : at + self._rows] for at in range(0, len(ids), self._rows)]

    def _answered(self, ids: list[str]) -> list[dict[str, Any]]:
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        batch = prompt_batch([self._reader.row(clip_id) for clip_id in ids], self._tokenizer.pad_token_id)
        inputs = {name: t.to(self._trainer.accelerator.device) for name, t in batch.items()}
        model.eval()
        with torch.no_grad(), self._trainer.accelerator.autocast():
            ids_BT = model.generate(**inputs, generation_config=self._settings)
        model.train()
        state = self._trainer.state
        self._ctx.progress(state.global_step, state.max_steps, "steps")  # the stage is alive
        answers = self._tokenizer.batch_decode(
            ids_BT[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return [
            {
                "id": clip_id,
                "label": self._reader.clips[clip_id].label,
                "score": parse_answer(self._ctx.format, answer).score,
            }
            for clip_id, answer in zip(ids, answers, strict=True)
        ]

    def _best(self) -> dict[str, Any] | None:
        data = self._ctx.store.read(f"{self._name}.json")
        return None if data is None else json.loads(data)

    def _keep(self, step: int, mae: float, before: dict[str, Any] | None) -> None:
        """Store the weights: first the folder, then the entry that names it; then delete the replaced folder."""
        folder = Path(self._ctx.stage.scratch) / f"best-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(copy_to_cpu(saved_weights(self._trainer)), folder, "weights")
        name = f"{self._name}/{self._ctx.attempt}-{step}"
        files = self._ctx.store.put_folder(folder, name, digest_folder(folder))
        found = {"step": step, "mae": mae, "folder": name}
        entry = {**found, "files": {path: file.model_dump(mode="json") for path, file in files.items()}}
        self._ctx.store.replace(f"{self._name}.json", json.dumps(entry).encode())
        if before is not None and before["folder"] != name:
            for old in list(self._ctx.store.names(before["folder"])):
                self._ctx.store.delete(old)


def candidate_steps(steps: int) -> set[int]:
    """Return the steps that end a tenth of training."""
    return {-(-steps * n // CANDIDATES) for n in range(1, CANDIDATES + 1)}


def train_and_save(
    ctx: Context,
    trainer: Any,
    watch: MetricsCallback,
    reader: Reader,
    student: Student,
    select: str,
    *,
    rows: int,
    max_new_tokens: int,
) -> dict[str, Any]:
    """Train to the end, save the selected weights to `model/`, and return steps and metrics for the record."""
    best = None
    if select == "best_valid":
        best = BestValid(ctx, trainer, reader, student.tokenizer, rows=rows, max_new_tokens=max_new_tokens)
        trainer.add_callback(best)
    with report_out_of_memory(ctx.stage.kind):
        train(ctx, trainer, watch)
    selected = best.restore_best() if best else {}
    save_trained(trainer, student, ctx.out / "model")
    return {"steps": trainer.state.global_step, **watch.last, **selected}
