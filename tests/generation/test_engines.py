"""vLLM at its boundary (tests/support/fake_vllm.py): what it is asked, whose weights it has, and when it sleeps."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.handoff import Placement, VllmPlace
from c2f_spec.spec.sections import Lora
from runtime.generation import vllm_requests
from runtime.generation.vllm_requests import MEDIA_PER_PROMPT, collapse_placeholders, placeholders
from runtime.media.features import DecodedClip
from runtime.models.batches import prompt_batch
from runtime.models.thinker import generation_config, suppressed_tokens
from runtime.text.chains import hint_prefix
from tests.support import fake_vllm, omni, omni_grpo

pytestmark = [pytest.mark.filterwarnings(noise) for noise in omni.NOISE]


@pytest.fixture
def vllm(monkeypatch):
    """The engines that were started."""
    return fake_vllm.installed(monkeypatch)


@pytest.fixture
def trainer(vllm, tmp_path):
    made = omni_grpo.make(tmp_path, engine=omni_grpo.engine(tmp_path))
    made.state.global_step = 0
    return made


def by_itself(trainer, rows, hint=()):
    """What the policy answers by transformers, greedily, after `hint`."""
    tokenizer = trainer._tokenizer
    settings = generation_config(tokenizer, omni_grpo.GREEDY.max_tokens, 0.0)
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    found = []
    for row in rows:
        batch = prompt_batch([row], tokenizer.pad_token_id)
        extra = torch.tensor([list(hint)], dtype=torch.long)
        batch["input_ids"] = torch.cat([batch["input_ids"], extra], dim=1)
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        with torch.no_grad():
            made = model.generate(**batch, generation_config=settings)
        found.append(made[0, batch["input_ids"].shape[1] :].tolist())
    model.train()
    return found


def answered(trainer, clips=("toy-00", "toy-01"), hint=()):
    prompts, _, media = trainer._tokenize_prompts(list(clips))
    prompts = [[*prompt, *hint] for prompt in prompts]
    return trainer._generate_single_turn(prompts, None, media, 1)[0]


def test_it_starts_small_and_asleep_without_weights(trainer, vllm):
    (llm,) = vllm
    assert (llm.load_format, llm.dtype, llm.gpu_memory_utilization) == ("dummy", "float32", 0.3)
    assert (llm.max_model_len, llm.max_num_seqs, llm.limit_mm_per_prompt) == (512, 4, MEDIA_PER_PROMPT)
    assert (llm.distributed_executor_backend, llm.enable_sleep_mode) == ("external_launcher", True)
    assert llm.awake == set()
    assert not list(Path(llm.model).glob("*.safetensors"))


def test_it_answers_as_the_policy_does_and_follows_its_updates(trainer, vllm):
    rows = [trainer.reader.row(clip) for clip in ("toy-00", "toy-01")]
    first = answered(trainer)
    assert first == by_itself(trainer, rows)
    assert vllm[0].awake == set(), "its memory is the trainer's between two generations"
    with torch.no_grad():
        trainer.model.lm_head.weight.neg_()
    trainer.state.global_step = 1
    second = answered(trainer)
    assert second == by_itself(trainer, rows)
    assert second != first


def test_adapters_are_merged_on_the_way_and_stay_adapters(vllm, tmp_path):
    trainer = omni_grpo.make(tmp_path, tuner=Lora(rank=4), engine=omni_grpo.engine(tmp_path))
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    rows = [trainer.reader.row(clip) for clip in ("toy-00", "toy-01")]
    assert answered(trainer) == by_itself(trainer, rows)
    assert not any(getattr(m, "merged", False) for m in trainer.model.modules())


def test_a_request_has_ids_media_and_the_limits_of_the_spec(trainer, vllm):
    hint = trainer._tokenizer.encode("<polarity>Positive</polarity>", add_special_tokens=False)
    row = trainer.reader.row("toy-00")
    assert answered(trainer, ["toy-00"], hint) == by_itself(trainer, [row], hint)
    ((asked, params),) = vllm[0].asked
    processor = trainer.processing_class
    assert asked["prompt_token_ids"] == [*collapse_placeholders(row.prompt, placeholders(processor)), *hint]
    assert [asked["prompt_token_ids"].count(t) for t in sorted(placeholders(processor))] == [1, 1]
    shown = trainer.reader.decoded_clip("toy-00")
    assert np.array_equal(asked["multi_modal_data"]["video"], shown.frames)
    assert np.array_equal(asked["multi_modal_data"]["audio"][0], shown.sound)
    assert asked["mm_processor_kwargs"]["fps"] == len(shown.frames) / 2.0
    assert (params.n, params.max_tokens, params.temperature, params.top_k) == (1, 6, 0.0, 0)
    assert set(params.logit_bias) == set(suppressed_tokens(trainer._tokenizer))


def test_features_of_another_number_are_refused(trainer, vllm):
    vllm[0].stale = True
    with pytest.raises(InvalidStageSpec, match="its processor differs from ours"):
        answered(trainer)


def test_the_stage_hints_through_it(vllm, tmp_path):
    ctx = omni.context(
        tmp_path, "grpo", {"prepare": omni.prepared(), "start": omni.tuned()},
        placement=Placement(vllm=VllmPlace()),
        grpo={"steps": 2, "batch": 2, "generations": 2, "learning_rate": 1e-3, "max_new_tokens": 6,
              "max_prompt_tokens": 300, "engine": {"kind": "vllm"}, "hint": {"trigger": {"kind": "all_below", "threshold": 2.0}}},
    )  # fmt: skip
    from runtime.stages import grpo

    assert grpo.run(ctx)["steps"] == 2
    tokenizer = omni.student().tokenizer
    tag = tokenizer.encode("<polarity>", add_special_tokens=False)[0]
    hinted = [asked for asked, _ in vllm[0].asked if tag in asked["prompt_token_ids"][-6:]]
    assert len(vllm[0].asked) == 16
    assert len(hinted) == 8, "each group of a model that can do nothing yet is answered again"
    assert all(row["hinted"] for row in omni.lines(ctx.out / "rollouts.jsonl"))
    hints = [
        tokenizer.encode(hint_prefix(omni.FMT, p, "after_polarity"), add_special_tokens=False)
        for p in POLARITIES
    ]
    assert vllm[0].max_model_len == 300 + max(map(len, hints)) + 6, (
        "a hint takes no room of prompt and answer"
    )


@pytest.mark.parametrize("kind", ["grpo", "evaluate"])
def test_a_stage_without_vllm_fails_at_its_start(kind, tmp_path):
    from runtime.stages import evaluate, grpo

    place = Placement(vllm=VllmPlace())
    fields = {"evaluate": {"decoding": {}}, "checkpoint": "sft"} if kind == "evaluate" else {"grpo": {}}
    ctx = omni.context(tmp_path, kind, {"prepare": omni.prepared()}, placement=place, **fields)
    with pytest.raises(InvalidStageSpec, match="vLLM is not installed") as told:
        (evaluate if kind == "evaluate" else grpo).run(ctx)
    assert "engine: transformers" in told.value.hint


def test_evaluation_answers_through_it_as_through_transformers(vllm, tmp_path):
    from runtime.stages import evaluate

    found = []
    for name, place in (("transformers", None), ("vllm", VllmPlace(memory=0.4))):
        ctx = omni.context(
            tmp_path / name, "evaluate", {"prepare": omni.prepared(), "model": omni.tuned()}, checkpoint="sft",
            placement=Placement(vllm=place), evaluate={"decoding": {"max_new_tokens": 8}},
        )  # fmt: skip
        evaluate.run(ctx)
        found.append((ctx.out / "predictions.jsonl").read_text())
    assert found[0] == found[1]
    (llm,) = vllm
    assert (llm.load_format, llm.dtype, llm.gpu_memory_utilization) == ("auto", "float32", 0.4)
    assert all(params.seed is None for _, params in llm.asked)


# ---- a server


class FakeClient:
    """TRL's client of a server, at its boundary: a session that posts, and `generate`."""

    base_url, model, mode = "http://vllm:8000", "student", "raw_logprobs"

    def __init__(self, lengths, status=200):
        self.lengths, self.status, self.session = lengths, status, self

    def post(self, url, json):
        self.body = json
        assert url == "http://vllm:8000/v1/chat/completions/render"
        said = {kind: [{"offset": 9, "length": n}] for kind, n in self.lengths.items()}
        features = {"kwargs": "opaque", "mm_placeholders": said}
        return SimpleNamespace(status_code=self.status, json=lambda: {"features": features})

    def generate(self, **asked):
        self.asked = asked
        return {"completion_ids": [[1, 2]], "logprobs": [[[-0.5], [-0.25]]]}

    def get_server_info(self):
        return {"model_config": {"logprobs_mode": self.mode}}


PROCESSOR = SimpleNamespace(video_token_id=7, audio_token_id=8)
SHOWN = DecodedClip(
    np.arange(2 * 28 * 28 * 3, dtype=np.uint8).reshape(2, 28, 28, 3), np.zeros(160, np.float32), 1.0
)
PROMPT = [1, 7, 7, 2, 8, 8, 8, 3]


def parameters():
    from runtime.generation.vllm_requests import sampling_parameters as of

    return of(omni_grpo.GREEDY, omni.student().tokenizer)


def test_a_server_gets_features_at_the_places_of_our_prompt():
    client = FakeClient({"video": 2, "audio": 3})
    assert vllm_requests.generate_on_server(client, [(PROMPT, SHOWN)], PROCESSOR, parameters()) == (
        [[1, 2]],
        [[-0.5, -0.25]],
    )
    assert client.asked["prompts"] == [PROMPT]
    assert client.asked["features"][0]["mm_placeholders"] == {
        "video": [{"offset": 1, "length": 2}],
        "audio": [{"offset": 4, "length": 3}],
    }
    assert (client.asked["max_tokens"], client.asked["temperature"]) == (6, 0.0)
    assert client.asked["generation_kwargs"]["stop_token_ids"] == [omni.student().tokenizer.eos_token_id]
    assert client.body["mm_processor_kwargs"]["fps"] == 2.0
    json.dumps(client.body)


def test_frames_and_sound_come_through_unchanged():
    import base64
    import io

    import soundfile
    from PIL import Image

    video, audio = vllm_requests.media_parts(SHOWN)
    pictures = video["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
    frames = [np.asarray(Image.open(io.BytesIO(base64.b64decode(p)))) for p in pictures]
    assert np.array_equal(np.stack(frames), SHOWN.frames)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(audio["input_audio"]["data"])), dtype="float32")
    assert (rate, np.array_equal(sound, SHOWN.sound)) == (16_000, True)


@pytest.mark.parametrize(
    ("lengths", "status", "message"),
    [
        ({"video": 3, "audio": 3}, 200, r"makes \[3\] features of video"),
        ({}, 404, "does not process media: 404"),
    ],
)
def test_a_server_that_does_otherwise_is_refused(lengths, status, message):
    with pytest.raises(InvalidStageSpec, match=message):
        vllm_requests.generate_on_server(
            FakeClient(lengths, status), [(PROMPT, SHOWN)], PROCESSOR, parameters()
        )


def test_a_server_that_returns_other_log_probabilities_is_refused():
    client = FakeClient({})
    with pytest.raises(InvalidStageSpec, match="returns `raw_logprobs`"):
        vllm_requests.assert_processed_logprobs(client)
    client.mode = "processed_logprobs"
    vllm_requests.assert_processed_logprobs(client)
