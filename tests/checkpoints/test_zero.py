"""ZeRO: the configuration of DeepSpeed, who resolves `auto`, and the parts of a checkpoint.

Training under it is measured, with real processes: `python -m tests.bench ranks`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from types import SimpleNamespace

import pytest
import torch

from c2f_spec.errors import InvalidStageSpec, Unreachable
from c2f_spec.plan.compile import compile_plan, load_environment
from c2f_spec.plan.pins import needed_datasets
from c2f_spec.spec.handoff import Placement, StageFile
from c2f_spec.spec.resources import resolve_zero
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.targets.local import Local
from runtime.checkpoints import trainer_state, zero_partitions
from runtime.checkpoints.manifest import Retention, find_newest
from runtime.checkpoints.saver import RankGroup, Saver, SaveRequest
from runtime.checkpoints.trainer_state import Snapshot
from runtime.training import trainer_arguments
from tests.conftest import TINY_SPEC, load_spec
from tests.gpu_smoke.stages import RESTORED
from tests.support import omni

SIZES = {"rows": 1, "passes": 1, "world": 2, "grad_clip": 1.0, "bf16": False, "hidden": 32}


# ---- the configuration of DeepSpeed


@pytest.mark.parametrize("stage", ["2", "3"])
def test_the_json_is_generated_from_the_placement_and_the_spec(golden, monkeypatch, stage):
    """A batch of 32 over four GPUs, two rows at a time, on the text model of Qwen2.5-Omni-7B."""
    monkeypatch.setattr(trainer_arguments, "find_spec", lambda _: True)
    config = trainer_arguments.deepspeed_config(
        stage, rows=2, passes=4, world=4, grad_clip=1.0, bf16=True, hidden=3584
    )
    golden(f"zero/{stage}.json", json.dumps(config, indent=1) + "\n")


def test_without_zero_there_is_no_configuration_of_deepspeed():
    assert trainer_arguments.zero_config("off", **SIZES) is None


def test_a_machine_without_deepspeed_gets_an_error_with_a_hint(monkeypatch):
    monkeypatch.setattr(trainer_arguments, "find_spec", lambda _: None)
    with pytest.raises(InvalidStageSpec, match="ZeRO 2 needs the package `deepspeed`") as caught:
        trainer_arguments.zero_config("2", **SIZES)
    assert "resources.<stage>.zero: off" in caught.value.hint


@pytest.mark.parametrize(
    ("stage", "towers", "lacks", "hint"),
    [
        ("3", False, ("audio",), "sft.zero: 2"),
        ("3", True, ("video",), "sft.zero: off"),
        ("2", True, ("audio",), "sft.zero: off"),
        ("2", False, ("audio",), None),
        ("off", True, ("audio",), None),
        ("3", True, (), None),
    ],
)
def test_no_process_may_wait_for_one_that_leaves_a_tower_out(stage, towers, lacks, hint):
    clips = [dataclasses.replace(clip, lacks=lacks) for clip in omni.reader().clips.values()]
    if hint is None:
        trainer_arguments.assert_towers_on_all_ranks(stage, "sft", clips, towers_trained=towers)
        return
    with pytest.raises(InvalidStageSpec, match=f"has no {lacks[0]}") as caught:
        trainer_arguments.assert_towers_on_all_ranks(stage, "sft", clips, towers_trained=towers)
    assert hint in caught.value.hint


# ---- who resolves it


@pytest.mark.parametrize(
    ("requested", "lora", "processes", "is_"),
    [
        ("auto", True, 4, "2"),
        ("auto", False, 4, "3"),
        ("auto", False, 1, "off"),
        ("3", True, 1, "off"),
        ("3", True, 2, "3"),
        ("2", False, 2, "2"),
        ("off", False, 8, "off"),
    ],
)
def test_auto_is_what_the_tuner_needs_and_one_process_shares_nothing(requested, lora, processes, is_):
    assert resolve_zero(requested, lora=lora, processes=processes) == is_


@pytest.mark.parametrize(
    ("stage", "visible", "placed"),
    [
        ("sft: {tuner: lora}\n", "0,1,2,3", (4, 4, "2")),
        ("sft: {}\n", "0,1,2,3", (4, 4, "3")),
        ("sft: {}\nresources: {sft: {zero: 2, gpus: 2}}\n", "0,1,2,3", (2, 2, "2")),
        ("sft: {}\nresources: {sft: {zero: off}}\n", "4,5", (2, 2, "off")),
        ("sft: {batch: 8}\n", "0,1,2", (2, 2, "3")),  # as many as share a batch of 8
        ("sft: {}\nresources: {sft: {zero: 3}}\n", "", (0, 1, "off")),
    ],
)
def test_training_on_this_machine_takes_every_visible_gpu(
    repository, tiny_spec, monkeypatch, stage, visible, placed
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tiny_spec.write_text(TINY_SPEC + "format: c2f\n" + stage)
    loaded = load_spec(tiny_spec)
    objects = open_store(str(repository / ".c2f" / "store"))
    staged = {d: records.datasets_present(objects, d) for d in needed_datasets(loaded.experiment)}
    plan = compile_plan([loaded], staged, load_environment("local", repository, None), "local")
    place = {s.kind: Local(objects, slots=1).prepare(plan, s).file.placement for s in plan.stages}
    assert (place["sft"].gpus, place["sft"].processes, place["sft"].zero) == placed
    assert place["sft"].zero_stage(place["sft"].processes) == placed[2]
    assert place["prepare"].processes == 1


def test_a_stage_file_that_nobody_resolved_is_not_spread():
    assert Placement().zero_stage(4) == "off"


# ---- the parts of a checkpoint


class Spread(torch.nn.Module):
    """A model of seven trained numbers, and what DeepSpeed makes of its optimizer on one of two ranks."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Parameter(torch.zeros(5)), torch.nn.Parameter(torch.zeros(2))
        self.masters = [torch.full((3,), number), torch.full((1,), number)]
        self.optimizer = torch.optim.AdamW([{"params": [m]} for m in self.masters], lr=0.5)

    def trainer(self) -> SimpleNamespace:
        ours = SimpleNamespace(single_partition_of_fp32_groups=self.masters, optimizer=self.optimizer)
        wrapped = SimpleNamespace(optimizer=ours, param_groups=self.optimizer.param_groups)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model)
        return SimpleNamespace(model=self, optimizer=wrapped, accelerator=accelerator)

    def step(self) -> None:
        for master in self.masters:
            master.grad = torch.ones_like(master)
        self.optimizer.step()


def write_partition(folder, spoil=lambda part: None) -> Spread:
    """Train for a step and write the part of a rank; `spoil` changes it before."""
    trained = Spread(1.0)
    trained.step()
    part = zero_partitions.rank_tensors(trained.trainer())
    spoil(part)
    trainer_state.write_tensors(part, folder, zero_partitions.STEM)
    return trained


def test_a_part_goes_out_and_comes_back_to_the_same_bits(tmp_path):
    trained, fresh = write_partition(tmp_path), Spread(2.0)
    saved = json.loads(json.dumps(zero_partitions.partition_facts(trained.trainer())))
    assert zero_partitions.restore_partition(fresh.trainer(), files(tmp_path), 1, saved) == 2
    for both in (trained, fresh):
        both.step()
    for one, other in zip(trained.masters, fresh.masters, strict=True):
        assert torch.equal(one, other)
    assert fresh.optimizer.state[fresh.masters[0]]["step"] == 2


def test_a_resume_from_parts_is_logged_in_the_words_that_gpu_smoke_searches_for(tmp_path, capsys):
    (tmp_path / zero_partitions.rank_folder(0)).mkdir()
    trained = write_partition(tmp_path / zero_partitions.rank_folder(0))
    state = {"optimizer": zero_partitions.partition_facts(trained.trainer()), "schedule": {}}
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / trainer_state.STATE).write_text(json.dumps(state))
    trainer = trained.trainer()
    trainer.lr_scheduler = SimpleNamespace(load_state_dict=lambda _: None)
    trainer.args = SimpleNamespace(process_index=0)
    trainer.is_deepspeed_enabled = True
    trainer_state.restore_optimizer(trainer, tmp_path / "main")
    assert re.search(RESTORED, capsys.readouterr().out)[1] == "2"


def files(folder):
    return trainer_state.read_tensors(folder, zero_partitions.STEM)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda part: part.pop("1.weights"), "lacks the weights of group 1 of rank 0"),
        (lambda part: part.update({"0.exp_avg": torch.zeros(9)}), "`exp_avg` of group 0"),
        (lambda part: part.update({"2.weights": torch.zeros(3)}), "has 3 groups of parameters of rank 0, not 2"),
        (lambda part: part.clear(), "has 0 groups"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_refused(tmp_path, spoil, says):
    trained = write_partition(tmp_path, spoil)
    facts = zero_partitions.partition_facts(trained.trainer())
    with pytest.raises(LookupError, match=says):
        zero_partitions.restore_partition(trained.trainer(), files(tmp_path), 0, facts)


def test_parts_of_other_parameters_are_refused(tmp_path):
    trained = Spread(1.0)
    saved = zero_partitions.partition_facts(trained.trainer())
    saved["shapes"] = {**saved["shapes"], "b": [3]}
    with pytest.raises(LookupError, match="other parameters, among them `b`"):
        zero_partitions.restore_partition(trained.trainer(), [], 0, saved)


class Ranks:
    """Savers of two ranks in one process, which hear of each other as those of two processes do."""

    def __init__(self, folder, failing=None) -> None:
        self.objects, self.gathered = open_store(str(folder / "store")), [None, None]
        self.met = threading.Barrier(2)
        stage = StageFile(kind="sft", key="0" * 64, name="sft", preimage={}, store="", scratch="")
        self.savers = [
            Saver(
                Failing(self.objects) if rank == failing else self.objects,
                stage, "first", folder / str(rank), Retention(), RankGroup(rank, lambda stored, rank=rank: self.gather(stored, rank)),
            )
            for rank in (0, 1)
        ]  # fmt: skip

    def gather(self, stored, rank):
        self.gathered[rank] = stored
        self.met.wait(20)
        everything = list(self.gathered)
        self.met.wait(20)
        return everything if rank == 0 else []

    def save(self, step: int) -> None:
        from transformers import TrainerState  # after what our own imports put in place for it

        for rank, saver in enumerate(self.savers):
            named = {zero_partitions.STEM: {"0.weights": torch.full((2,), float(rank))}}
            main = {"state": {}, "counters": TrainerState(global_step=step)} if rank == 0 else {}
            saver.offer(
                SaveRequest(Snapshot(step, named, **main), total=9, world=2, score=None, logs={}, zero="2")
            )
        assert all(saver.wait(20) for saver in self.savers)

    def found(self, zero="2"):
        return find_newest(self.objects, "sft", "0" * 64, 2, zero)


class Failing:
    """A store that cannot be written to."""

    def __init__(self, objects) -> None:
        self._objects = objects

    def __getattr__(self, name):
        return getattr(self._objects, name)

    def put_folder(self, *_):
        raise Unreachable("the network is down")


def test_the_parts_of_all_ranks_are_one_checkpoint(tmp_path):
    ranks = Ranks(tmp_path)
    ranks.save(1)
    found = ranks.found().checkpoint
    everybodys = ["rank-00000/state.json", "rank-00000/trainer_state.json"]
    both = ["rank-00000/part-00000.safetensors", "rank-00001/part-00000.safetensors"]
    assert sorted(found.manifest.files) == sorted([*everybodys, *both])
    for rank in (0, 1):
        files = [name for name in found.manifest.files if zero_partitions.needed_by_rank(name, rank)]
        assert sorted(files) == sorted([*everybodys, both[rank]])
        (part,) = trainer_state.read_tensors(
            found.folder / zero_partitions.rank_folder(rank), zero_partitions.STEM
        )
        assert part["0.weights"].tolist() == [rank, rank]
    assert zero_partitions.main_folder(found.folder) == found.folder / "rank-00000"


@pytest.mark.parametrize("failing", [0, 1])
def test_a_checkpoint_without_the_part_of_a_rank_is_none(tmp_path, capsys, failing):
    ranks = Ranks(tmp_path, failing)
    ranks.save(1)
    assert ranks.found().checkpoint is None
    assert "the checkpoint of step 1 was not stored: the network is down" in capsys.readouterr().out


def test_a_checkpoint_is_of_one_zero_stage(tmp_path):
    ranks = Ranks(tmp_path)
    ranks.save(1)
    assert "ZeRO of the processes that wrote it: 2, and now: 3" in str(ranks.found("3"))
