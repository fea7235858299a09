"""Training that is interrupted and goes on ends in the bits of training that was not."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest
import torch

from c2f_spec.errors import Diverged, Stopped, Unreachable
from c2f_spec.spec.handoff import Placement, StageFile
from c2f_spec.spec.resources import Checkpoints, Guard
from c2f_spec.store.digest import unseal
from c2f_spec.store.open import open_store
from runtime.checkpoints.manifest import (
    MANIFEST,
    Manifest,
    Retention,
    checkpoints_name,
    find_expired,
    find_newest,
    list_checkpoints,
    newest_step,
)
from runtime.checkpoints.saver import Saver, SaveRequest
from runtime.checkpoints.trainer_state import Snapshot
from runtime.stages import grpo, sft
from runtime.training.metrics_callback import MetricsCallback
from runtime.training.monitor import find_divergence
from tests.support import omni
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

OFTEN = Placement(checkpoints=Checkpoints(every=2))
LORA = {"kind": "lora", "rank": 4, "alpha": 8}
SFT = {"epochs": 2, "batch": 4, "learning_rate": 3e-3}
GRPO = {
    "epochs": 2, "batch": 4, "generations": 2, "learning_rate": 1e-3, "max_new_tokens": 16,
    "hint": {
        "trigger": {"kind": "pass_rate", "max_rate": 0.6, "ema": 0.5}, "group": {"kind": "append", "k": 1},
        "normalise": "joint", "polarity_reward_on_hinted": "exclude", "dropout": 0.3, "forced_loss": "policy_gradient",
    },
}  # fmt: skip
STEPS = 8
"""Of either; an epoch has 4."""
STAGES = {"sft": sft, "grpo": grpo}


def attempt(store: Path, kind: str, name: str, *, tuner=None, placement=OFTEN):
    """An attempt at a stage, which goes on from what the store has; and the first words of its log."""
    section = {"sft": SFT, "grpo": GRPO}[kind] | ({"tuner": tuner} if tuner else {})
    inputs = {"prepare": omni.prepared()}
    inputs |= {"filter": omni.chains()} if kind == "sft" else {"start": omni.skilled()}
    folder = store.parent / name
    ctx = omni.context(folder, kind, inputs, placement=placement, store=store, **{kind: section})
    ctx.attempt = name
    search = find_newest(ctx.store, kind, ctx.stage.key, 1)
    ctx.checkpoint = search.checkpoint
    return ctx, str(search)


@functools.cache
def whole(kind: str, tuner: str):
    """Output and summary of a stage that nobody interrupted."""
    store = Path(tempfile.mkdtemp(dir=omni.ROOT.name)) / "store"
    ctx, _ = attempt(store, kind, "whole", tuner=LORA if tuner else None)
    return ctx.out, STAGES[kind].run(ctx)


def interrupt(monkeypatch, step: int, act) -> None:
    """Do something to the process when the metrics of `step` are logged."""
    original = MetricsCallback.on_log

    def on_log(self, args, state, control, logs=None, **rest):
        original(self, args, state, control, logs, **rest)
        if state.global_step == step:
            act()

    monkeypatch.setattr(MetricsCallback, "on_log", on_log)


def die() -> None:
    raise KeyboardInterrupt


def wait_for_checkpoint(ctx, step: int) -> None:
    """Wait until the checkpoint of a step is stored: what a killed process had under way is lost, or is not."""
    wait_until(lambda: newest_step(ctx.store, ctx.stage.kind, ctx.stage.key) >= step)


def same(one: Path, other: Path) -> None:
    names = {p.relative_to(one).as_posix() for p in one.rglob("*") if p.is_file()}
    assert names == {p.relative_to(other).as_posix() for p in other.rglob("*") if p.is_file()}
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize(("kind", "tuner", "step"), [("sft", "lora", 7), ("grpo", "", 7)])
def test_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, kind, tuner, step):
    out, summary = whole(kind, tuner)
    first, words = attempt(tmp_path / "store", kind, "first", tuner=LORA if tuner else None)
    assert words == "fresh start because there is no checkpoint"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, step, die)
        STAGES[kind].run(first)
    wait_for_checkpoint(first, step - 1)
    second, words = attempt(tmp_path / "store", kind, "second", tuner=LORA if tuner else None)
    assert words == f"resumed from step {step - 1} of {STEPS}"
    assert STAGES[kind].run(second) == summary
    same(out, second.out)
    assert second.measured["steps"] == STEPS - step + 1
    assert {"step_seconds", "tokens_per_second", "peak_rss_bytes"} < second.measured.keys()
    assert ("generation_seconds" in second.measured) == (kind == "grpo")


def test_the_bits_are_those_of_something_learned():
    """Else the tests above would compare a model with itself."""
    out, _ = whole("grpo", "")
    before, after = (folder / "model" / "model.safetensors" for folder in (omni.skilled(), out))
    assert before.read_bytes() != after.read_bytes()
    assert any(row["zero_variance"] < 1 for row in omni.lines(out / "metrics.jsonl"))


@pytest.fixture
def stoppable():
    from runtime.process.signals import SIGNALS, install_handlers

    before = {number: signal.getsignal(number) for number in SIGNALS}
    install_handlers()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("step", [3, STEPS])
def test_a_stop_saves_the_step_that_it_came_in(tmp_path, monkeypatch, stoppable, step):
    """The last step too: what is left then is to write the model."""
    first, _ = attempt(tmp_path / "store", "sft", "first")
    words = f"the store has the checkpoint of step {step}$"
    with monkeypatch.context() as patch, pytest.raises(Stopped, match=words):
        # Before `on_log` of the step, the trainer has asked whether to stop: it comes in the step after.
        interrupt(patch, step - 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        sft.run(first)
    second, words = attempt(tmp_path / "store", "sft", "second")
    assert words == f"resumed from step {step} of {STEPS}"
    out, summary = whole("sft", "")
    assert sft.run(second) == summary
    same(out, second.out)


def damage(name: str, folder: Path) -> None:
    """One way in which a checkpoint can be wrong."""
    weights, manifest = folder / "weights-00000.safetensors", folder / MANIFEST
    rng = random.Random(name)
    if name == "torn":
        manifest.unlink()
    elif name == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif name == "missing file":
        (folder / "optimizer-00000.safetensors").unlink()
    elif name in ("flipped bit", "flipped bit of the manifest"):
        path = weights if name == "flipped bit" else manifest
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    else:
        read = Manifest.model_validate(unseal(manifest.read_bytes()))
        changed = {
            "other stage": {"key": "1" * 64}, "other processes": {"world": 2}, "moved": {"step": 7},
            "pickle": {"files": {**read.files, "optimizer.pt": next(iter(read.files.values()))}},
        }[name]  # fmt: skip
        manifest.write_bytes(read.model_copy(update=changed).to_bytes())


DAMAGES = {
    "torn": "it has no manifest, so its upload was never finished",
    "truncated": "was changed since",
    "missing file": "is missing since",
    "flipped bit": "was changed since",
    "flipped bit of the manifest": "its manifest is damaged",
    "other stage": "it belongs to another stage",
    "other processes": "processes that wrote it: 2, and now: 1",
    "moved": "it was written to another folder",
    "pickle": "unknown file `optimizer.pt`",
}


@functools.cache
def two_checkpoints() -> Path:
    """A store with the checkpoints of steps 4 and 6."""
    store = Path(tempfile.mkdtemp(dir=omni.ROOT.name)) / "store"
    ctx, _ = attempt(store, "sft", "first")
    sft.run(ctx)
    wait_for_checkpoint(ctx, 6)
    return store


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, name):
    store = tmp_path / "store"
    shutil.copytree(two_checkpoints(), store)
    ctx, words = attempt(store, "sft", "untouched")
    assert words == "resumed from step 6 of 8"
    place = checkpoints_name("sft", ctx.stage.key)
    damage(name, store / place / "step-6" / "first")
    _, words = attempt(store, "sft", "second")
    assert words.splitlines()[0] == "resumed from step 4 of 8"
    assert "  skipped step-6/first: " in words
    assert DAMAGES[name] in words
    damage("flipped bit", store / place / "step-4" / "first")
    _, words = attempt(store, "sft", "third")
    assert words.splitlines()[0] == "fresh start because no checkpoint is whole"


def test_every_byte_of_a_manifest_counts(tmp_path):
    store = tmp_path / "store"
    shutil.copytree(two_checkpoints(), store)
    manifest = next(store.rglob(f"step-6/first/{MANIFEST}"))
    before = manifest.read_bytes()
    rng = random.Random(7)
    for at in rng.sample(range(len(before)), 100):
        data = bytearray(before)
        data[at] ^= 1 << rng.randrange(8)
        manifest.write_bytes(data)
        ctx = omni.context(tmp_path / f"byte-{at}", "sft", {}, store=store)
        search = find_newest(ctx.store, "sft", ctx.stage.key, 1)
        assert search.checkpoint.manifest.step == 4, at


def a_checkpoint(step: int, score: float | None) -> Manifest:
    return Manifest(
        kind="sft", key="0" * 64, attempt="a", step=step, total=99, world=1, score=score, files={}
    )


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        (Retention(last=1), [60]),
        (Retention(last=2), [50, 60]),
        (Retention(last=1, best=1), [20, 60]),
        (Retention(last=1, best=2), [20, 40, 60]),
        (Retention(last=2, every=30), [30, 50, 60]),
        (Retention(last=9), [10, 20, 30, 40, 50, 60]),
    ],
)
def test_retention(keep, stay):
    scores = {10: None, 20: 0.9, 30: 0.1, 40: 0.8, 50: 0.2, 60: 0.3}
    manifests = [a_checkpoint(step, score) for step, score in scores.items()]
    gone = {m.step for m in find_expired(reversed(manifests), keep)}
    assert sorted(scores.keys() - gone) == stay


def test_retired_checkpoints_leave_the_store():
    def steps():
        return {path.parents[1].name for path in (two_checkpoints() / "work").rglob("*.safetensors")}

    wait_until(lambda: len(steps()) <= 2)
    assert steps() == {"step-4", "step-6"}


# ---- storing beside the training


class Store:
    """A folder that takes its time, or fails."""

    def __init__(self, folder: Path) -> None:
        self._objects = open_store(str(folder))
        self.open, self.failing, self.begun = threading.Event(), 0, threading.Semaphore(0)

    def __getattr__(self, name: str):
        return getattr(self._objects, name)

    def put_folder(self, *arguments):
        self.begun.release()
        self.open.wait(20)
        if self.failing:
            self.failing -= 1
            raise Unreachable("the network is down")
        return self._objects.put_folder(*arguments)


@pytest.fixture
def saver(tmp_path):
    store = Store(tmp_path / "store")
    file = StageFile(kind="sft", key="0" * 64, name="sft", preimage={}, store="", scratch="")
    return Saver(store, file, "first", tmp_path / "scratch", Retention(last=9)), store


def order(step: int) -> SaveRequest:
    from transformers import TrainerState  # after what our own imports put in place for it

    weights = {"w": torch.full((4,), float(step))}
    counters = TrainerState(global_step=step)
    return SaveRequest(
        Snapshot(step, {"weights": weights}, {}, counters), total=9, world=1, score=None, logs={}
    )


def stored(store) -> list[int]:
    return sorted(place.step for place in list_checkpoints(store, "sft", "0" * 64) if place.complete)


def test_the_newest_snapshot_that_waits_replaces_older_ones(saver):
    saver, store = saver
    saver.offer(order(1))
    assert store.begun.acquire(timeout=120)
    for step in (2, 3, 4):
        saver.offer(order(step))  # returns while the store waits for `open`: training does not
    assert not saver.wait(0.01)
    store.open.set()
    assert saver.wait(120)
    assert stored(store) == [1, 4]


def test_a_store_that_fails_is_reported_and_tried_again_with_the_next(saver, capsys):
    saver, store = saver
    store.open.set()
    store.failing = 1
    for step in (1, 2):
        saver.offer(order(step))
        assert saver.wait(120)
    assert stored(store) == [2]
    assert "the checkpoint of step 1 was not stored: the network is down" in capsys.readouterr().out


def test_what_is_not_a_tensor_and_not_json_is_a_bug_that_training_hears_of(saver):
    saver, store = saver
    store.open.set()
    bad = order(1)
    saver.offer(dataclasses.replace(bad, snapshot=dataclasses.replace(bad.snapshot, state={"f": print})))
    assert saver.wait(120)
    with pytest.raises(TypeError, match="not JSON serializable"):
        saver.offer(order(2))


# ---- training that went wrong


def rows(**metrics: list[float]) -> list[dict[str, float]]:
    return [dict(zip(metrics, values, strict=True)) for values in zip(*metrics.values(), strict=True)]


def test_a_policy_far_from_its_reference_or_without_its_format_is_given_up():
    guard = Guard(window=3)
    assert find_divergence(rows(kl=[9.0, 9.0]), guard) is None, "too few steps to judge"
    assert find_divergence(rows(kl=[9.0, 0.1, 0.1]), guard) is None, "one step is noise"
    assert "KL" in find_divergence(rows(kl=[0.1, 4.0, 6.0, 7.0]), guard)[0]
    assert find_divergence(rows(kl=[9.0] * 3), Guard(window=3, max_kl=None)) is None
    lost = {"reward/format": [0.9] * 3 + [0.0] * 3}
    assert "90% had it before" in find_divergence(rows(**lost), guard)[0]
    assert find_divergence(rows(**lost), Guard(window=3, min_format=None)) is None
    assert find_divergence(rows(**{"reward/format": [0.2] * 3 + [0.0] * 3}), guard) is None, "it never had it"


def test_divergence_leaves_the_last_good_checkpoint(tmp_path):
    strict = Placement(checkpoints=Checkpoints(every=2), guard=Guard(window=4, max_kl=1e-9))
    ctx, _ = attempt(tmp_path / "store", "grpo", "first", placement=strict)
    with pytest.raises(Diverged, match="more than 1e-09, at step 4") as caught:
        grpo.run(ctx)
    assert "guard.max_kl" in caught.value.hint
    wait_for_checkpoint(ctx, 2)
    _, words = attempt(tmp_path / "store", "grpo", "second", placement=strict)
    assert words == f"resumed from step 2 of {STEPS}"
