"""Each distinct clip is encoded once a step, and nothing but time changes by it."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext

import pytest
import torch

from runtime.models.batches import media_batch, positions_batch
from runtime.models.thinker import freeze, load
from runtime.training.towers import Towers, find_thinker
from tests.support import omni
from tests.support.omni_grpo import CLIPS, OtherMedia, generated, log_probabilities, make, sequences

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

TOWERS = ("model.visual.", "model.audio_tower.")


@pytest.fixture
def model():
    return load(omni.tuned() / "model").model


def rows_of(*clips):
    reader = omni.reader()
    return [reader.row(clip) for clip in clips]


def passed(model, rows, towers):
    """Log-probabilities of each row's own last tokens, padded on the left as TRL does; with `towers` or without."""
    longest = max(len(row.prompt) for row in rows)
    ids = torch.tensor([[0] * (longest - len(row.prompt)) + list(row.prompt) for row in rows])
    mask = torch.tensor([[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows])
    media = media_batch(rows) if towers is None else positions_batch(rows)
    with nullcontext() if towers is None else towers.serve_features(find_thinker(model), rows):
        logits = model(input_ids=ids, attention_mask=mask, **media).logits[:, -6:-1]
    return logits.log_softmax(dim=-1).gather(2, ids[:, -5:, None]).squeeze(2)


def silent(row, processor):
    """The clip without its sound, as a prompt and media."""
    kept = {name: t for name, t in row.media.items() if "feature" not in name}
    names = ("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>")
    sound = processor.tokenizer.convert_tokens_to_ids(list(names))
    prompt = tuple(token for token in row.prompt if token not in sound)
    return dataclasses.replace(row, id=row.id + "-silent", prompt=prompt, media=kept)


def test_values_and_gradients_are_those_of_the_plain_model(model):
    rows = rows_of("toy-00", "toy-01", "toy-00", "toy-02", "toy-00", "toy-01")
    rows.append(silent(rows[0], omni.student().processor))
    factor = torch.randn(len(rows), 5, generator=torch.Generator().manual_seed(0))
    made = []
    for towers in (None, Towers(find_thinker(model))):
        model.zero_grad()
        values = passed(model, rows, towers)
        (values * factor).sum().backward()
        made.append(
            (values.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
        )
    (plain, plain_gradients), (once, gradients) = made
    assert torch.allclose(once, plain, atol=1e-6)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, plain_gradients[name], atol=1e-6, rtol=1e-4), name
    for tower in TOWERS:
        assert any(name.startswith(tower) and g.abs().max() > 1e-4 for name, g in gradients.items())


def test_the_model_is_left_as_it_was(model):
    towers = Towers(find_thinker(model))
    rows = rows_of("toy-00")
    with pytest.raises(RuntimeError), towers.serve_features(find_thinker(model), rows):
        raise RuntimeError
    assert not {"get_video_features", "get_audio_features"} & vars(find_thinker(model)).keys()


def clips_encoded(trainer):
    """How many videos and sounds each of the towers is given, from now on."""
    counts = {"video": [], "audio": []}
    for model in (trainer.model, trainer.ref_model):
        thinker = find_thinker(model)
        thinker.visual.register_forward_pre_hook(
            lambda _, arguments, named: counts["video"].append(len(named["grid_thw"])), with_kwargs=True
        )
        thinker.audio_tower.register_forward_pre_hook(
            lambda _, arguments, named: counts["audio"].append(len(named["feature_lens"])), with_kwargs=True
        )
    return counts


def step(trainer):
    output = generated(trainer)
    return output, trainer._compute_loss(trainer.model, output)


def encoded_anew(model, output):
    """Return log-probabilities of the answers by a model that encodes the media itself: (B, answer)."""
    ids, mask = sequences(output)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, **media_batch(rows_of(*CLIPS))).logits[:, :-1]
    logps = logits.log_softmax(dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)
    return logps[:, -output["completion_ids"].shape[1] :]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_clip_is_encoded_once_a_step(tmp_path, frozen):
    trainer = make(tmp_path, num_iterations=2)
    if frozen:
        freeze(trainer.model, TOWERS)
    counts = clips_encoded(trainer)
    step(trainer)
    # Frozen towers serve answers, old, reference and policy at once; the others the answers and the old policy, the
    # reference, and the policy with gradients.
    expected = [2] if frozen else [2, 2, 2]
    assert counts == {"video": expected, "audio": expected}


def test_a_reference_with_towers_of_its_own_uses_them(tmp_path):
    trainer = make(tmp_path)
    freeze(trainer.model, TOWERS)
    with torch.no_grad():
        for parameter in find_thinker(trainer.ref_model).visual.parameters():
            parameter.add_(0.05)
    counts = clips_encoded(trainer)
    output, _ = step(trainer)
    assert counts["video"] == [2, 2]
    logps = encoded_anew(trainer.ref_model, output)
    kept = output["completion_mask"].bool()
    assert torch.allclose(output["ref_per_token_logps"][kept], logps[kept], atol=1e-5)


@pytest.mark.parametrize("generates", [True, False])
def test_nothing_is_kept_past_a_change_of_weights(tmp_path, generates):
    """Whether or not another step begins."""
    trainer = make(tmp_path, num_iterations=2)
    output, _ = step(trainer)
    with torch.no_grad():
        for parameter in find_thinker(trainer.model).visual.parameters():
            parameter.add_(0.05)
    if generates:
        output, _ = step(trainer)
    logps = encoded_anew(trainer.model, output)
    (again,) = log_probabilities(trainer, output, trainer.model)
    kept = output["completion_mask"].bool()
    assert torch.allclose(again[kept], logps[kept], atol=1e-5)
    assert torch.allclose(output["old_per_token_logps"][kept], logps[kept], atol=1e-5) == generates


def results_of_passes(trainer):
    """Return log-probabilities of a fixed answer in each pass of a step, and logits of its first token in generation."""
    answer = trainer._tokenizer.encode("<polarity>Negative", add_special_tokens=False)
    first = []
    head = trainer.model.lm_head.register_forward_hook(
        lambda _, __, logits: first.append(logits[:, -1].clone())
    )
    generated(trainer)
    head.remove()
    ids = torch.tensor([[*row.prompt, *answer] for row in trainer.rows[:2]])
    mask = torch.ones_like(ids)
    trainer.rows = trainer.rows[:2]
    score = trainer._get_per_token_logps_and_entropies
    with torch.no_grad():
        old = score(trainer.model, ids, mask, len(answer))[0]
        reference = score(trainer.ref_model, ids, mask, len(answer))[0]
    policy = score(trainer.model, ids, mask, len(answer))[0].detach()
    return {"generation": first[0], "old": old, "reference": reference, "policy": policy}


@pytest.mark.parametrize("frozen", [True, False])
def test_a_change_of_sound_or_video_alone_changes_every_pass(tmp_path, frozen):
    trainer = make(tmp_path)
    if frozen:
        freeze(trainer.model, TOWERS)
    original = trainer.reader
    plain = results_of_passes(trainer)
    for modality in ("input_features", "pixel_values_videos"):
        trainer.reader = OtherMedia(original, modality)
        for name, values in results_of_passes(trainer).items():
            assert not torch.allclose(values, plain[name], atol=1e-4), f"{name} does not see {modality}"
