"""Estimate the load of a stage at its place: what each kind of stage does, in the order in which it does it.

Sizes come from the spec: clips, passes over them, tokens, answers. What the runtime decides by itself is repeated here
as constants, and a test holds them against it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from c2f_spec.cost import memory as mem
from c2f_spec.cost.gpu_hours import Load
from c2f_spec.cost.sizes import SIZES, clips_of, prompt_tokens, size_of
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.hint import ReplaceAll
from c2f_spec.spec.resources import resolve_zero
from c2f_spec.spec.sections import Direct
from c2f_spec.spec.student import Lora, QwenOmni
from c2f_spec.spec.teacher import OwnWeights, VllmTeacher

if TYPE_CHECKING:
    from c2f_spec.cost.site import Site
    from c2f_spec.cost.sizes import Size
    from c2f_spec.spec.coefficients import Coefficients
    from c2f_spec.spec.evaluate import Evaluate
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.sections import Sft
    from c2f_spec.spec.teacher import TransformersTeacher


LAYERS = 28
"""Layers of Qwen2.5-Omni-7B, for which seconds a token are given. Generation waits for layers, not for arithmetic."""


def train_seconds(size: Size, tokens: float, k: Coefficients, *, full: bool) -> float:
    """Return seconds of forward and backward with checkpointing: 8 operations a weight and token, 6 where most are frozen."""
    return (8 if full else 6) * size.active * tokens / (k.train_utilisation * k.flops)


def forward_seconds(size: Size, tokens: float, k: Coefficients) -> float:
    """Return seconds for log-probabilities of given tokens."""
    return 2 * size.active * tokens / (k.forward_utilisation * k.flops)


def generate_seconds(
    size: Size, answers: int, tokens: int, k: Coefficients, *, rows: int, vllm: bool
) -> float:
    """Return seconds for `answers` of `tokens` tokens, generated in batches of `rows`."""
    token = (k.vllm_token_seconds if vllm else k.token_seconds) * size.layers / LAYERS
    return ceil(answers / rows) * (tokens * token + k.batch_seconds)


def hinted_share(prompts: int, k: Coefficients) -> float:
    """Return the share of steps with a second generation: GPUs wait for each other, so one hard prompt is enough.

    The most that it can be: what is drawn beside the first answers (`runtime/training/hints/schedule.py`) needs none.
    """
    return float(1 - (1 - k.hard) ** prompts)


ROWS_TRAINED = 2
"""Rows of a GPU in one pass, unless `micro_batch` says otherwise (`runtime/models/qwen_omni.py`)."""
ROWS_GENERATED = 16
"""Answers that transformers writes as one batch in evaluation (`runtime/models/qwen_omni.py`)."""
SCORE_TOKENS = 8
"""Tokens of an answer of `format: direct`, which is a number."""
UNKNOWN_SIZE = SIZES["qwen2.5-omni-7b"]
"""The size that is reckoned with where none is known."""
LONG_CLIP = 4
"""The longest clip, in mean lengths: what memory must hold where the spec sets no bound on tokens."""


def load_of(e: Experiment, kind: str, dataset: str, site: Site) -> Load:
    """Return the estimated load of a stage; `dataset` is what an evaluation reads, others read the training set."""
    if not site.gpus:
        return Load(0, 0.0, 0.0, 0.0, site.k.trust, kind)
    if kind == "distil" and isinstance(e.teacher, OwnWeights):
        return _if_known(_distil(e, e.teacher, site), e.teacher.model)
    if kind == "sft" and e.sft:
        return _if_known(_sft(e, e.sft, site), _model(e))
    if kind == "grpo" and e.grpo:
        return _if_known(_grpo(e, e.grpo, site), _model(e))
    if kind == "evaluate" and e.evaluate:
        return _if_known(_evaluate(e, e.evaluate, dataset, site), _model(e))
    return Load(0, 0.0, 0.0, 0.0, site.k.trust, kind)


def _if_known(load: Load, model: str) -> Load:
    """Mark the load of a model of unknown size, whose work only compares its stages with each other."""
    return load if size_of(model) else load._replace(known=False, memory=0.0)


def _distil(e: Experiment, teacher: TransformersTeacher | VllmTeacher, site: Site) -> Load:
    size, k = size_of(teacher.model) or UNKNOWN_SIZE, site.k
    vllm = isinstance(teacher, VllmTeacher)
    rows = k.batch_rows if vllm else ROWS_GENERATED
    answers = ceil(clips_of(e.data, e.data.train, "train") * teacher.samples / site.placement.shards)
    tokens = min(k.teacher_tokens, teacher.max_new_tokens)
    work = generate_seconds(size, answers, tokens, k, rows=rows, vllm=vllm)
    held = _longest(e, e.data.train, k) + teacher.max_new_tokens
    peak = mem.inference_bytes(size, _copy_gpus(site), min(rows, answers), held, k)
    if isinstance(teacher, VllmTeacher):
        peak = max(peak, teacher.memory * site.bytes)
    return _load("distil", teacher.model, teacher.kind, site, work, peak)


def _sft(e: Experiment, sft: Sft, site: Site) -> Load:
    """Estimate SFT with every clip kept: how many chains pass the filters is known afterwards."""
    size, k = _student(e), site.k
    clips = clips_of(e.data, e.data.train, "train")
    rows = sft.steps * sft.batch if sft.steps is not None else ceil(clips * sft.epochs)
    tokens = prompt_tokens(e.data.known[e.data.train].seconds, e.media, k.text_tokens) + _answer(e, k)
    full = not isinstance(sft.tuner, Lora)
    work = train_seconds(size, rows * tokens, k, full=full) / max(1, site.gpus)
    held = sft.max_tokens or _longest(e, e.data.train, k) + _longest_answer(e, k)
    t = _training(size, sft, site, _rows(site, sft.batch), held, held)
    return _load("sft", _model(e), sft.tuner.kind, site, work, mem.training_bytes(t, None, site.bytes, k))


def _grpo(e: Experiment, g: Grpo, site: Site) -> Load:
    size, k = _student(e), site.k
    clips = clips_of(e.data, e.data.train, "train")
    batches = ceil(g.steps / g.updates) if g.steps is not None else ceil(ceil(clips * g.epochs) / g.batch)
    answers = ceil(g.batch * g.generations / max(1, site.gpus))
    prompt = prompt_tokens(e.data.known[e.data.train].seconds, e.media, k.text_tokens)
    answer = min(k.chain_tokens, g.max_new_tokens)
    vllm = isinstance(g.engine, VllmEngine)
    seconds = grpo_step_seconds(size, g, prompt, answer, answers, k)
    held = (g.max_prompt_tokens or _longest(e, e.data.train, k)) + g.max_new_tokens
    t = _training(size, g, site, _rows(site, g.batch * g.generations), held, g.max_new_tokens)
    copies = g.beta > 0 and (g.reference == "base" or not isinstance(g.tuner, Lora))
    served = isinstance(g.engine, VllmEngine) and g.engine.mode == "server"
    share = g.engine.memory if isinstance(g.engine, VllmEngine) and not served else 0.0
    here = mem.Sampling(copies, 0 if served else answers, share)
    peak = mem.training_bytes(t, here, site.bytes, k)
    return _load(
        "grpo",
        _model(e),
        f"{g.tuner.kind} {'vllm' if vllm else 'transformers'}",
        site,
        batches * seconds,
        peak,
    )


def _hinted_beside(g: Grpo, answers: int) -> int:
    """Return the hinted answers of a GPU that may be drawn in one generation with its `answers`."""
    if g.hint.hard_policy != "hint":
        return 0
    each = g.generations if isinstance(g.hint.group, ReplaceAll) else g.hint.group.k
    return ceil(answers / g.generations) * each


def grpo_step_seconds(size: Size, g: Grpo, prompt: int, answer: int, answers: int, k: Coefficients) -> float:
    """Return seconds of a step of one GPU with `answers` of its own: answer, answer with hints, score, train."""
    vllm = isinstance(g.engine, VllmEngine)
    rounds = 1.0
    if g.hint.hard_policy == "hint" and g.hint.trigger.kind not in ("always", "offline_list"):
        rounds += hinted_share(g.batch, k)
    rows = k.batch_rows if vllm else answers  # transformers writes all answers of a step as one batch
    generating = rounds * generate_seconds(size, answers, answer, k, rows=rows, vllm=vllm)
    tokens = answers * (prompt + answer)
    passes = (g.beta > 0) + (g.updates > 1)
    scoring = passes * forward_seconds(size, tokens, k)
    training = g.updates * train_seconds(size, tokens, k, full=not isinstance(g.tuner, Lora))
    return generating + scoring + training + (k.sync_seconds if vllm else k.step_seconds)


def _evaluate(e: Experiment, section: Evaluate, dataset: str, site: Site) -> Load:
    size, k = _student(e), site.k
    engine, most = section.engine, section.decoding.max_new_tokens
    vllm = isinstance(engine, VllmEngine)
    rows = k.batch_rows if vllm else ROWS_GENERATED
    answers = ceil(clips_of(e.data, dataset, "test") / site.placement.shards)
    work = generate_seconds(size, answers, min(_answer(e, k), most), k, rows=rows, vllm=vllm)
    held = _longest(e, dataset, k) + most
    peak = mem.inference_bytes(size, _copy_gpus(site), min(rows, answers), held, k)
    if isinstance(engine, VllmEngine):
        peak = max(peak, engine.memory * site.bytes)
    return _load("evaluate", _model(e), engine.kind, site, work, peak)


def _copy_gpus(site: Site) -> int:
    """Return the GPUs that hold one copy of a model that answers."""
    return max(1, site.placement.gpus or site.gpus)


def _training(
    size: Size, section: Sft | Grpo, site: Site, rows: int, tokens: int, learned: int
) -> mem.Training:
    adapters = size.adapters(section.tuner) if isinstance(section.tuner, Lora) else None
    gpus = max(1, site.gpus)
    zero = resolve_zero(site.placement.zero, lora=adapters is not None, processes=gpus)
    return mem.Training(size, adapters, zero, gpus, rows, tokens, learned)


def _rows(site: Site, rows: int) -> int:
    """Return the rows of a GPU in one pass: a divisor of its share of the batch, as the runtime splits it."""
    share = max(1, rows // max(1, site.gpus))
    most = min(share, site.placement.micro_batch or ROWS_TRAINED)
    return max(n for n in range(1, most + 1) if share % n == 0)


def _longest(e: Experiment, dataset: str, k: Coefficients) -> int:
    """Return about the tokens of the longest prompt."""
    long = e.media.model_copy(update={"fps": e.media.fps * LONG_CLIP})
    sound = ceil(e.data.known[dataset].seconds * (LONG_CLIP - 1) * 25)
    return prompt_tokens(e.data.known[dataset].seconds, long, k.text_tokens) + sound


def _answer(e: Experiment, k: Coefficients) -> int:
    return SCORE_TOKENS if isinstance(e.format, Direct) else k.chain_tokens


def _longest_answer(e: Experiment, k: Coefficients) -> int:
    return SCORE_TOKENS if isinstance(e.format, Direct) else 2 * k.chain_tokens


def _model(e: Experiment) -> str:
    if isinstance(e.student, QwenOmni):
        return e.student.model
    return f"{e.student.kind}-{e.student.hidden}-{e.student.layers}"


def _student(e: Experiment) -> Size:
    return size_of(_model(e)) or UNKNOWN_SIZE


def _load(kind: str, model: str, how: str, site: Site, work: float, peak: float) -> Load:
    shape = f"{kind} {model} {how} {site.gpu}"
    return Load(site.gpus, site.k.start_seconds, work, peak, site.k.trust, shape)
