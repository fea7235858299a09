"""GRPO on media: what every forward pass sees, what happens to hard samples, and the stage."""

from __future__ import annotations

import dataclasses
import inspect
import random
import re

import pytest
import torch

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.grpo import REWARD_NAMES, Grpo, Rewards
from c2f_spec.spec.sections import Lora
from runtime.models.thinker import load
from runtime.stages import grpo
from runtime.training.grpo_trainer import GRPOTrainer
from runtime.training.tuner import merge_adapters
from tests.support import omni
from tests.support.hard import make
from tests.support.omni_grpo import CLIPS, OtherMedia, generated

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]


def states_of_passes(trainer):
    """Return the hidden state of the last prompt token in each pass: {pass: (4, hidden)}."""
    states = []
    length = max(len(trainer.reader.row(clip).prompt) for clip in CLIPS)

    def note(_, __, output):
        if output.last_hidden_state.shape[1] >= length:  # not the later steps of generation
            states.append(output.last_hidden_state[:, length - 1].detach().clone())

    hooks = [model.model.register_forward_hook(note) for model in (trainer.model, trainer.ref_model)]
    torch.manual_seed(0)
    trainer.model.train()
    output = trainer._generate_and_score_completions([{"prompt": clip} for clip in CLIPS])
    trainer._compute_loss(trainer.model, output)
    for hook in hooks:
        hook.remove()
    return dict(zip(("generation", "old", "reference", "policy"), states, strict=True))


def test_every_pass_sees_sound_and_video(tmp_path):
    # Two updates a generation: TRL then needs the old policy's log-probabilities too.
    trainer = make(tmp_path, steps_per_generation=2)
    original = trainer.reader
    plain, again = states_of_passes(trainer), states_of_passes(trainer)
    for name in plain:
        assert torch.equal(plain[name], again[name])
        assert torch.allclose(plain[name], plain["policy"], atol=1e-5), "the passes do not see the same"
    for modality in ("input_features", "pixel_values_videos"):
        trainer.reader = OtherMedia(original, modality)
        for name, hidden in states_of_passes(trainer).items():
            assert not torch.allclose(hidden, plain[name], atol=1e-3), f"{name} does not see {modality}"


def test_chunks_of_a_pass_take_their_own_media(tmp_path):
    trainer = make(tmp_path)
    trainer._tokenize_prompts(CLIPS)
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([*row.prompt, 300, 301]).flip(0) for row in trainer.rows], batch_first=True
    ).flip(1)
    mask = (ids != 0).long()
    with torch.no_grad():
        whole = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 2)[0]
        chunks = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 2, batch_size=1)[0]
    assert torch.allclose(whole, chunks, atol=1e-5)
    trainer.rows = trainer.rows[:3]
    with pytest.raises(AssertionError, match="media and sequences differ in number"):
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 2)


def test_what_trl_must_offer():
    """These are private to TRL. When one moves, `OmniGRPOTrainer` and `HintGRPOTrainer` have to move with it."""

    def parameters(name):
        return list(inspect.signature(getattr(GRPOTrainer, name)).parameters)

    assert parameters("_tokenize_prompts") == ["self", "prompts"]
    assert parameters("_generate_and_score_completions") == ["self", "inputs"]
    assert parameters("_compute_loss") == ["self", "model", "inputs"]
    rewards = ["self", "inputs", "prompts", "completions", "completion_ids_list"]
    assert parameters("_calculate_rewards") == rewards
    turn = ["self", "prompt_ids", "images", "multimodal_fields", "num_generations"]
    assert parameters("_generate_single_turn")[:5] == turn
    scores = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
    assert parameters("_get_per_token_logps_and_entropies")[:6] == scores
    source = inspect.getsource(GRPOTrainer)
    for relied_upon in (
        "self.rollout_func(prompts, self)",
        'extra_fields.pop("env_mask", None)',
        "shuffle_sequence_dict",
    ):
        assert relied_upon in source
    # Why there is a subclass: TRL's own scoring knows fields of images and no others.
    assert "input_features" not in source


def test_clips_follow_their_sequences_through_shuffle_and_split(tmp_path):
    trainer = make(tmp_path, steps_per_generation=2, per_device_train_batch_size=2)
    trainer.model.train()
    first = trainer._prepare_inputs([{"prompt": clip} for clip in CLIPS])
    trainer._step = 1
    second = trainer._prepare_inputs([])
    rows = [(part["prompt_ids"][i], part["clips"][i]) for part in (first, second) for i in range(2)]
    for ids, clip in rows:
        prompt = trainer.reader.row(clip).prompt
        assert ids[-len(prompt) :].tolist() == list(prompt)
    assert sorted(clip for _, clip in rows) == CLIPS


def run(folder, **spec):
    ctx = omni.grpo_context(folder, **spec)
    return grpo.run(ctx), ctx


def test_stage_hints_a_model_that_can_do_nothing_yet(tmp_path):
    summary, ctx = run(tmp_path / "first")
    metrics = omni.lines(ctx.out / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2]
    # Of the rest there was nothing to log: no clip of a polarity, none seen before, no answer with a score.
    rare = r"(hint|polarity)/(negative|neutral|positive)|polarity/hard(_trailing)?|agreement/.*"
    off = {name for name in REWARD_NAMES if getattr(Grpo().rewards, name) is None}
    names = (name for name in grpo.METRICS.values() if name.rpartition("/")[2] not in off)
    always = {name for name in names if not re.fullmatch(rare, name)}
    assert always <= metrics[0].keys() <= always | set(grpo.METRICS.values()) | {"step"}
    assert metrics[0]["hint/groups"] == 1.0
    assert metrics[0]["reward/unhinted"] == metrics[0]["reward/polarity"] == 0.0
    assert metrics[0]["reward/hinted"] == 1.0, "the hint says the polarity"
    assert metrics[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert summary["steps"] == 2
    rollouts = omni.lines(ctx.out / "rollouts.jsonl")
    assert [(row["step"], row["hinted"]) for row in rollouts] == [(0, True), (0, True), (1, True), (1, True)]
    assert rollouts[0].keys() == {"step", "clip", "completion", "rewards", "hinted"}
    assert rollouts[0]["rewards"] == {"format": 0.0, "polarity": 1.0, "score": 0.0}
    history = omni.lines(ctx.out / "hints.jsonl")
    assert sum(row["hinted"] for row in history) == sum(row["visits"] for row in history) == 4
    again = run(tmp_path / "again")[1]
    for name in ("metrics.jsonl", "rollouts.jsonl", "hints.jsonl", "model/model.safetensors"):
        assert (ctx.out / name).read_bytes() == (again.out / name).read_bytes(), name


def test_stage_starts_from_the_base_student_where_nothing_was_fine_tuned(tmp_path):
    ctx = omni.context(tmp_path, "grpo", {"prepare": omni.prepared()})
    ctx.stage.preimage["spec"]["grpo"]["steps"] = 1
    assert grpo.run(ctx)["steps"] == 1
    load(ctx.out / "model")


def test_batch_is_accumulated_within_one_generation(tmp_path, monkeypatch):
    monkeypatch.setitem(grpo.MODELS, "tiny", dataclasses.replace(grpo.MODELS["tiny"], rows_trained=2))
    hint = {"trigger": {"kind": "all_below", "threshold": 2.0}}
    section = {"steps": 1, "batch": 4, "generations": 2, "max_new_tokens": 4, "hint": hint}
    _, ctx = run(tmp_path, grpo=section)
    assert len(omni.lines(ctx.out / "rollouts.jsonl")) == 2, "one generation, of which one group is written"


def test_a_step_needs_as_many_clips_as_its_batch(tmp_path):
    with pytest.raises(InvalidData, match=r"`grpo\.batch` is 17, and the training split has 16 clips"):
        run(tmp_path, grpo={"batch": 17})


def test_named_rewards_have_their_weights():
    rewards = Rewards.model_validate({"polarity": {"weight": 0.5}, "score": {"weight": 2}})
    functions, weights = grpo.reward_functions(rewards, omni.FMT, omni.reader())
    assert [each.__name__ for each in functions] == ["polarity", "score"]
    assert weights == [0.5, 2.0]
    answer = "<polarity>Negative</polarity><think>x</think><score>-3.1</score>"
    assert [f(["toy-00", "toy-01"], [answer, answer]) for f in functions] == [[1.0, 0.0], [1.0, 0.0]]


def test_adapters_train_the_text_model_and_are_merged(tmp_path):
    tuner = Lora(kind="lora", rank=4, alpha=8)
    trainer = make(tmp_path, tuner=tuner, max_steps=1, learning_rate=1e-2, warmup_steps=0)
    assert trainer.ref_model is None, "the reference is the model without its adapters"
    trainer.train()
    before = load(omni.tuned() / "model").model.state_dict()
    after = merge_adapters(trainer.model).state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert all(
        re.fullmatch(r"model\.language_model\.layers\.0\.\w+\.\w+_proj\.weight", name) for name in changed
    )


def test_stage_tunes_with_adapters(tmp_path):
    section = {"steps": 1, "batch": 2, "generations": 2, "max_new_tokens": 4, "hint": {"hard_policy": "keep"},
               "tuner": {"kind": "lora", "rank": 4, "alpha": 8}}  # fmt: skip
    _, ctx = run(tmp_path, grpo=section)
    assert "hard/groups" not in omni.lines(ctx.out / "metrics.jsonl")[0]
    after, before = (load(out / "model").model.state_dict() for out in (ctx.out, omni.tuned()))
    assert after.keys() == before.keys()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"format": {"kind": "direct"}}, "answers with a polarity"),
        ({"grpo": {"batch": 2, "generations": 2}}, "not resolved to a number"),
        ({"grpo": {"batch": 2, "generations": 2, "rewards": {}}}, "names no reward"),
        (
            {"grpo": {"batch": 8, "generations": 2, "hint": {"trigger": "always", "warmup_steps": 2}}},
            "training has 2 steps",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, spec, message):
    with pytest.raises(InvalidStageSpec, match=message):
        run(tmp_path, **spec)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_advantages_are_those_of_trl_to_the_bit(tmp_path, scale):
    draw = random.Random(0)

    def some(prompts, **_):
        return [draw.choice([None, 0.0, 1.0, draw.random()]) for _ in prompts]

    def other(prompts, **_):
        return [draw.random() for _ in prompts] if draw.random() < 0.7 else [None] * len(prompts)

    trainer = make(
        tmp_path, rewards=[some, other], scale_rewards=scale, max_completion_length=1, beta=0.0,
        reward_weights=[1.0, 0.3],
    )  # fmt: skip
    for _ in range(10):
        output = generated(trainer)
        theirs = list(trainer._logs["advantages"])[-len(CLIPS) :]
        assert output["advantages"].tolist() == theirs
