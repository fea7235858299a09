"""The student `tiny`: a Qwen2.5-Omni thinker of a few hundred thousand random weights, with a real processor.

Its tokenizer is byte-level BPE over a fixed corpus, so any text can be written. The fixed sentences of the prompts and
the headings of the chains are one token each: besides media and transcript a prompt has some 25 tokens, not hundreds,
and two minutes on one core suffice. The tags are tokens too, and not special ones, so that decoding keeps them.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)

from c2f_spec.spec.sections import Tiny
from runtime.models.thinker import Kind, Student, load
from runtime.text.prompts import HEADINGS, PROMPTS

if TYPE_CHECKING:
    from c2f_spec.spec.sections import Student as StudentSpec

VOCABULARY = 768
"""Number of BPE tokens, before the phrases are added."""
MELS = 64
SECONDS = 10
"""Longest sound; feature extraction pads to it, so more costs time."""
TOWER = 64
"""Width of both towers."""
HEADS = 4
INITIALIZER_RANGE = 0.05
"""Standard deviation of the first weights; the 0.02 of large models learns too slowly at this width."""

SPECIAL = {
    "image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>",
}  # fmt: skip
PAD, END = "<|endoftext|>", "<|im_end|>"
TAGS = ("polarity", "think", "score")

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>"
    "{% elif c['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Roles and turns as Qwen2.5-Omni writes them; media in the order of the message."""

DESCRIPTION = """
: the words are slightly negative. : the words are clearly positive. : the words are strongly negative and neutral.
: the mouth curves up slightly and the brows are raised. : the mouth curves down strongly and the brows are lowered.
: the mouth is straight and the brows are level. : the voice is slightly high and quiet, very low and loud, even.
: the voice is of middle pitch and even. : the words and the face are positive, the voice is mixed; overall clearly.
: the face and the voice are negative, the words are mixed; overall slightly positive. Negative Positive Neutral
 the a of and to is it in that this with for as but on an not its be are from at by has have was all one who so more
 you his her their they out up about if what can into no just than like film movie story characters even too when time
 good best make way never most only some there there's or does much own will which never been any little between less
"""
"""Words with which chains of thought describe a speaker."""


def base(spec: StudentSpec, seed: int, weights: Path | None) -> Student:
    """Make the untouched student, a pure function of `spec` and `seed`: it is the same in every stage."""
    if not isinstance(spec, Tiny) or weights is not None:
        raise TypeError("a tiny student is made from its own section and has no weights to read")
    tokenizer = make_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5OmniThinkerForConditionalGeneration(_config(spec, tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return Student(model, _processor(tokenizer))


def make_tokenizer() -> Any:
    """Train a byte-level BPE on the words of the sentiment lexicon and of the prompts; phrases and tags are added whole."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = [PAD, "<|im_start|>", END, *SPECIAL.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    bpe.train_from_iterator([DESCRIPTION] * 50 + list(PROMPTS.values()) * 10 + _lexicon(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=PAD, padding_side="left", extra_special_tokens=SPECIAL
    )
    tags = [f"<{slash}{name}>" for name in TAGS for slash in ("", "/")]
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in [*tags, *_phrases()]])
    tokenizer.chat_template = CHAT
    return tokenizer


def _phrases() -> list[str]:
    """Return the fixed parts of the prompts, and the numbered headings."""
    filled = [
        p.replace("{p}", TAGS[0]).replace("{t}", TAGS[1]).replace("{s}", TAGS[2]) for p in PROMPTS.values()
    ]
    parts = [part for text in filled for part in re.split(r"\{\w+\}", text)]
    headings = [f"{n}. {heading}" for each in HEADINGS.values() for n, heading in enumerate(each, start=1)]
    return list(dict.fromkeys(part for part in parts + headings if len(part) > 1))


def _lexicon() -> list[str]:
    """Return the alphabetic words of vaderSentiment's lexicon, each with the space before it."""
    found = find_spec("vaderSentiment")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "the tiny student needs the package `vaderSentiment`", name="vaderSentiment"
        )
    lines = (Path(found.origin).parent / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    return [" " + word for word in (line.split("\t")[0] for line in lines) if word.isalpha()]


def _processor(tokenizer: Any) -> Any:
    """Make the processor of the real student, with fewer mel bands and a shorter longest sound."""
    return Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessor(),
        video_processor=Qwen2VLVideoProcessor(do_sample_frames=False, cap_pixels_per_frame=False),
        feature_extractor=WhisperFeatureExtractor(
            feature_size=MELS, chunk_length=SECONDS, return_attention_mask=True
        ),
        tokenizer=tokenizer,
        chat_template=CHAT,
    )


def _config(spec: Tiny, tokenizer: Any) -> Any:
    """Return the configuration: two small towers, a small text model, placeholder ids from `tokenizer`."""
    token = tokenizer.convert_tokens_to_ids
    part = spec.hidden // HEADS // 2
    return Qwen2_5OmniThinkerConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 16) * 16,
            "hidden_size": spec.hidden,
            "intermediate_size": 2 * spec.hidden,
            "num_hidden_layers": spec.layers,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS // 2,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
            # Sections of the rotary embedding for time, height and width; together half a head.
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [part - 2 * (part * 3 // 8), part * 3 // 8, part * 3 // 8],
                "rope_theta": 10000.0,
            },
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "initializer_range": INITIALIZER_RANGE,
        },
        vision_config={
            "depth": 1,
            "hidden_size": TOWER,
            "intermediate_size": 2 * TOWER,
            "num_heads": HEADS,
            "out_hidden_size": spec.hidden,
            "fullatt_block_indexes": [0],
            "initializer_range": INITIALIZER_RANGE,
        },
        audio_config={
            "num_mel_bins": MELS,
            "encoder_layers": 1,
            "encoder_attention_heads": HEADS,
            "encoder_ffn_dim": 2 * TOWER,
            "d_model": TOWER,
            "output_dim": spec.hidden,
            "max_source_positions": SECONDS * 50,
            "n_window": 100,
            "initializer_range": INITIALIZER_RANGE,
        },
        audio_token_index=token("<|AUDIO|>"),
        image_token_index=token("<|IMAGE|>"),
        video_token_index=token("<|VIDEO|>"),
        audio_start_token_id=token("<|audio_bos|>"),
        audio_end_token_id=token("<|audio_eos|>"),
        # Without it positions cannot be computed.
        vision_start_token_id=token("<|vision_bos|>"),
        vision_end_token_id=token("<|vision_eos|>"),
        initializer_range=INITIALIZER_RANGE,
    )


TINY = Kind(
    base=base,
    load=lambda _, folder: load(folder),
    tokenizer=lambda *_: make_tokenizer(),
    frozen=lambda _: (),
    half=lambda _: torch.cuda.is_available(),
    rows_trained=64,
    rows_generated=100,
)
