"""GRPO on media: what every forward pass sees, what happens to hard samples, and the stage."""

from __future__ import annotations

import dataclasses
import inspect
import math
import random
import re

import pytest
import torch
from datasets import Dataset

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.grpo import Grpo, Rewards
from c2f_spec.spec.sections import Dc, Full, Lora
from runtime.chains import hint, target
from runtime.models.student import load, suppressed
from runtime.stages import grpo
from runtime.training.grpo import GRPOConfig, GRPOTrainer
from runtime.training.hints.of_spec import assert_token_prefix, policy_of
from runtime.training.hints.trainer import HintGRPOTrainer
from runtime.training.rows import Reader
from runtime.training.tuner import adapters, merged
from tests import omni

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

HINT = "<polarity>Negative</polarity>\n\n"
CLIPS = ["toy-00", "toy-00", "toy-01", "toy-01"]
INPUTS = [{"prompt": clip} for clip in CLIPS]


def make(tmp_path, policy="keep", rewards=None, threshold=0.5, tuner=None, hints=None, **arguments):
    """A trainer of two clips, two answers each, on a student of its own; `hints` are further fields of the policy."""
    student = load(omni.tuned() / "model")
    sampled = []
    reader = Reader(omni.prepared(), student.processor, omni.FMT, omni.MEDIA)
    hint = {"hard_policy": policy, "trigger": {"kind": "all_below", "threshold": threshold}, **(hints or {})}
    section = Grpo.model_validate({"batch": 2, "generations": 2, "hint": hint})
    trainer = HintGRPOTrainer(
        reader=reader,
        policy=policy_of(section, omni.FMT, reader, student.tokenizer, 1, frozenset()),
        on_rollouts=lambda step, rollouts: sampled.append((step, rollouts)),
        model=student.model,
        processing_class=student.processor,
        reward_funcs=rewards or [length_of_second_clip],
        train_dataset=Dataset.from_dict({"prompt": ["toy-00", "toy-01"]}),
        peft_config=adapters(tuner or Full(), student.model),
        args=GRPOConfig(
            **{
                "output_dir": str(tmp_path), "per_device_train_batch_size": 4, "num_generations": 2, "beta": 0.1,
                "steps_per_generation": 1, "max_completion_length": 6, "bf16": False, "use_cpu": True, "report_to": [],
                "activation_checkpointing": False, "remove_unused_columns": False, "loss_type": "grpo", "seed": 1,
                "generation_kwargs": {"suppress_tokens": suppressed(student.tokenizer)}, "dataloader_pin_memory": False,
                "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, **arguments,
            }
        ),
    )  # fmt: skip
    trainer.sampled = sampled
    trainer.current_gradient_accumulation_steps = 1  # what `train` sets; these tests call its parts
    return trainer


def length_of_second_clip(prompts, completions, **_):
    """The first clip is always hard; the second is rewarded by what was written."""
    return [
        0.0 if clip == "toy-00" else 1.0 + len(text) / 100
        for clip, text in zip(prompts, completions, strict=True)
    ]


class Changed(Reader):
    """The same clips, one modality of them replaced."""

    def __init__(self, reader, name):
        self.__dict__.update(reader.__dict__)
        self._rows, self.name = reader._rows.copy(), name

    def row(self, clip_id):
        row = super().row(clip_id)
        return dataclasses.replace(row, media={**row.media, self.name: -row.media[self.name]})


def seen_by_each_pass(trainer):
    """Hidden state of the last prompt token in generation, old, reference and policy passes: {pass: (4, hidden)}."""
    seen = []
    length = max(len(trainer.reader.row(clip).prompt) for clip in CLIPS)

    def note(_, __, output):
        if output.last_hidden_state.shape[1] >= length:  # not the later steps of generation
            seen.append(output.last_hidden_state[:, length - 1].detach().clone())

    hooks = [model.model.register_forward_hook(note) for model in (trainer.model, trainer.ref_model)]
    torch.manual_seed(0)
    trainer.model.train()
    output = trainer._generate_and_score_completions([dict(each) for each in INPUTS])
    trainer._compute_loss(trainer.model, output)
    for hook in hooks:
        hook.remove()
    return dict(zip(("generation", "old", "reference", "policy"), seen, strict=True))


def test_every_pass_sees_sound_and_video(tmp_path):
    # Two updates a generation: TRL then needs the old policy's log-probabilities too.
    trainer = make(tmp_path, steps_per_generation=2)
    original = trainer.reader
    plain, again = seen_by_each_pass(trainer), seen_by_each_pass(trainer)
    for name in plain:
        assert torch.equal(plain[name], again[name])
        assert torch.allclose(plain[name], plain["policy"], atol=1e-5), "the passes do not see the same"
    for modality in ("input_features", "pixel_values_videos"):
        trainer.reader = Changed(original, modality)
        for name, hidden in seen_by_each_pass(trainer).items():
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
    with pytest.raises(AssertionError, match="out of step"):
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 2)


def test_what_trl_must_offer():
    """These are private to TRL. When one moves, `OmniGRPOTrainer` and `HintGRPOTrainer` have to move with it."""

    def parameters(name):
        return list(inspect.signature(getattr(GRPOTrainer, name)).parameters)

    assert parameters("_tokenize_prompts") == ["self", "prompts"]
    assert parameters("_generate_and_score_completions") == ["self", "inputs"]
    assert parameters("_compute_loss") == ["self", "model", "inputs"]
    assert parameters("_calculate_rewards") == [
        "self",
        "inputs",
        "prompts",
        "completions",
        "completion_ids_list",
    ]
    assert parameters("_generate_single_turn")[:5] == [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
    ]
    assert parameters("_get_per_token_logps_and_entropies")[:6] == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size",
    ]  # fmt: skip
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
    first = trainer._prepare_inputs([dict(each) for each in INPUTS])
    trainer._step = 1
    second = trainer._prepare_inputs([])
    rows = [(part["prompt_ids"][i], part["clips"][i]) for part in (first, second) for i in range(2)]
    for ids, clip in rows:
        prompt = trainer.reader.row(clip).prompt
        assert ids[-len(prompt) :].tolist() == list(prompt)
    assert sorted(clip for _, clip in rows) == CLIPS


def generated(trainer):
    torch.manual_seed(0)
    trainer.model.train()
    return trainer._generate_and_score_completions([dict(each) for each in INPUTS])


def test_hard_group_is_answered_again_after_the_hint_and_the_other_is_not(tmp_path):
    trainer = make(tmp_path, "hint")
    output = generated(trainer)
    forced = trainer._tokenizer.encode(HINT, add_special_tokens=False)
    n = len(forced)
    for i, clip in enumerate(CLIPS):
        length = int(output["completion_mask"][i].sum())
        ids, mask = output["completion_ids"][i].tolist(), output["tool_mask"][i].tolist()
        if clip == "toy-00":
            assert ids[:n] == forced
            assert mask[:length] == [0] * n + [1] * (length - n)
            assert 0 < length - n <= 6, "the longest answer counts generated tokens only"
        else:
            assert ids[:n] != forced
            assert mask[:length] == [1] * length
    _, rollouts = trainer.sampled[0]
    assert [each.hinted for each in rollouts] == [True, True, False, False]
    assert all(each.completion.startswith(HINT) for each in rollouts[:2])
    assert trainer._metrics["train"]["hint/groups"] == [0.5]
    assert trainer._metrics["train"]["reward/hinted"] == [0.0]
    plain = generated(make(tmp_path / "keep", "keep"))
    assert torch.equal(plain["completion_ids"][2:, :6], output["completion_ids"][2:, :6]), (
        "an easy group was changed"
    )


def test_kept_groups_stay_and_nothing_is_hinted(tmp_path):
    trainer = make(tmp_path, "keep")
    output = generated(trainer)
    assert output["tool_mask"][output["completion_mask"].bool()].all()
    assert trainer._metrics["train"]["hard/groups"] == [0.5]
    assert trainer._metrics["train"]["hint/groups"] == [0.0]
    assert "reward/hinted" not in trainer._metrics["train"]


def test_groups_may_be_kept_without_being_judged(tmp_path):
    trainer = make(tmp_path, "keep", threshold=None)
    generated(trainer)
    assert "hard/groups" not in trainer._metrics["train"]


def slow_loss(trainer, output, kept):
    """METHOD 1.6 and 1.7 in double precision, a loop: rows in `kept`, tokens with `tool_mask`, ratio 1."""
    total = 0.0
    rewards = [
        length_of_second_clip([clip], [text])[0]
        for clip, text in zip(CLIPS, decoded(trainer, output), strict=True)
    ]
    trainer.rows = [trainer.reader.row(clip) for clip in CLIPS]
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    width = output["completion_ids"].shape[1]
    with torch.no_grad():
        logps, refs = (
            trainer._get_per_token_logps_and_entropies(m, ids, mask, width)[0].double()
            for m in (trainer.model, trainer.ref_model)
        )
    for i in kept:
        group = rewards[i - i % 2 : i - i % 2 + 2]
        mean = sum(group) / 2
        std = math.sqrt(sum((r - mean) ** 2 for r in group))  # unbiased: 2 - 1 in the denominator
        advantage = (rewards[i] - mean) / (std + 1e-4)
        tokens = (output["completion_mask"] * output["tool_mask"])[i].nonzero().flatten().tolist()
        terms = []
        for t in tokens:
            gap = (refs[i, t] - logps[i, t]).item()
            terms.append(-(advantage - trainer.beta * (math.exp(gap) - gap - 1)))
        total += sum(terms) / len(terms) / len(kept)
    return total


def decoded(trainer, output):
    lengths = output["completion_mask"].sum(dim=1).tolist()
    ids = [row[:n].tolist() for row, n in zip(output["completion_ids"], lengths, strict=True)]
    return trainer.processing_class.batch_decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("policy", "kept"), [("keep", [0, 1, 2, 3]), ("hint", [0, 1, 2, 3]), ("drop", [2, 3])]
)
def test_loss_is_its_definition(tmp_path, policy, kept):
    trainer = make(tmp_path, policy)
    output = generated(trainer)
    with torch.no_grad():  # away from the reference, so that the KL divergence is not nothing
        for parameter in trainer.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    loss = trainer._compute_loss(trainer.model, output)
    assert loss.item() == pytest.approx(slow_loss(trainer, output, kept), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_dropped_groups_leave_no_gradient(tmp_path, loss_type):
    trainer = make(tmp_path, "drop", rewards=[lambda prompts, **_: [0.0] * len(prompts)], loss_type=loss_type)
    loss = trainer._compute_loss(trainer.model, generated(trainer))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in trainer.model.parameters())


@pytest.mark.parametrize("policy", ["hint", "keep", "drop"])
@pytest.mark.parametrize("scale", ["batch", "none"])
def test_dropped_groups_have_no_part_in_the_scale(tmp_path, policy, scale):
    trainer = make(tmp_path, policy, scale_rewards=scale)
    output = generated(trainer)
    rewards = torch.tensor(length_of_second_clip(CLIPS, decoded(trainer, output))).view(2, 2)
    kept = rewards[1:] if policy == "drop" else rewards
    spread = kept.flatten().std() + 1e-4 if scale == "batch" else 1.0
    expected = torch.zeros(4)
    expected[-kept.numel() :] = ((kept - kept.mean(dim=1, keepdim=True)) / spread).flatten()
    assert torch.allclose(output["advantages"], expected, atol=1e-5)


@pytest.mark.parametrize("end", ["after_polarity", "after_think_open"])
@pytest.mark.parametrize("fmt", [omni.FMT, Dc()])
def test_hints_are_token_prefixes_of_answers(end, fmt):
    for polarity in ("negative", "neutral", "positive"):
        prefix = hint(fmt, polarity, end)
        assert_token_prefix(
            omni.student().tokenizer, prefix, target(fmt, polarity, "1. x", 0.5).removeprefix(prefix)
        )


def test_a_hint_that_ends_inside_a_token_is_refused():
    with pytest.raises(StageSpecWrong, match="not a token prefix"):
        assert_token_prefix(omni.student().tokenizer, "the words are posi", "tive")


def run(folder, inputs=None, **spec):
    ctx = omni.context(
        folder, "grpo", {"prepare": omni.prepared(), "start": omni.tuned(), **(inputs or {})}, **spec
    )
    return grpo.run(ctx), ctx


def test_stage_hints_a_model_that_can_do_nothing_yet(tmp_path):
    summary, ctx = run(tmp_path / "first")
    metrics = omni.lines(ctx.out / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2]
    # Of the rest there was nothing to log: no clip of a polarity, none seen before, no answer with a score.
    rare = r"(hint|polarity)/(negative|neutral|positive)|polarity/hard(_trailing)?|agreement/.*"
    always = {name for name in grpo.METRICS.values() if not re.fullmatch(rare, name)}
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
    assert sum(row["hinted"] for row in history) == sum(row["seen"] for row in history) == 4
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
    section = {
        "steps": 1,
        "batch": 4,
        "generations": 2,
        "max_new_tokens": 4,
        "hint": {"trigger": {"kind": "all_below", "threshold": 2.0}},
    }
    _, ctx = run(tmp_path, grpo=section)
    assert len(omni.lines(ctx.out / "rollouts.jsonl")) == 2, "one generation, of which one group is written"


def test_a_step_needs_as_many_clips_as_its_batch(tmp_path):
    with pytest.raises(DataWrong, match=r"`grpo\.batch` is 17, and the training split has 16 clips"):
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
    before = load(omni.tuned() / "model")
    after = merged(trainer.model).state_dict()
    before = before.model.state_dict()
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
    assert (
        load(ctx.out / "model").model.state_dict().keys()
        == load(omni.tuned() / "model").model.state_dict().keys()
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"format": {"kind": "direct"}}, "answers with a polarity"),
        ({"grpo": {"batch": 2, "generations": 2}}, "not resolved to a number"),
        ({"grpo": {"batch": 2, "generations": 2, "rewards": {}}}, "names no reward"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, spec, message):
    with pytest.raises(StageSpecWrong, match=message):
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
