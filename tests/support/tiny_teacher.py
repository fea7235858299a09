"""A Qwen3-Omni of random weights with a real processor, in a folder as the hub has them: for teachers and servers."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import torch

from runtime.models.tiny import CHAT, make_tokenizer  # isort: skip  it puts in place what transformers looks for
from transformers import (
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeForConditionalGeneration,
    Qwen3OmniMoeProcessor,
    WhisperFeatureExtractor,
)

MELS = 128
"""The sound tower's three convolutions halve them thrice."""
CHAT_WITH_IMAGES = CHAT.replace(
    "{% elif c['type'] == 'audio' %}",
    "{% elif c['type'] == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>{% elif c['type'] == 'audio' %}",
)


@functools.cache
def folder() -> Path:
    """Made once a process."""
    path = Path(ROOT.name) / "teacher"
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHAT_WITH_IMAGES
    torch.manual_seed(0)
    model = Qwen3OmniMoeForConditionalGeneration(config(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(path)
    size = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64 * 8}
    processor = Qwen3OmniMoeProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=16, size=size),
        video_processor=Qwen2VLVideoProcessor(patch_size=16, size=size, do_sample_frames=False),
        feature_extractor=WhisperFeatureExtractor(
            feature_size=MELS, chunk_length=10, return_attention_mask=True
        ),
        tokenizer=tokenizer,
        chat_template=CHAT_WITH_IMAGES,
    )
    processor.save_pretrained(path)
    return path


ROOT = tempfile.TemporaryDirectory(prefix="tiny-teacher-")


def config(tokenizer) -> Qwen3OmniMoeConfig:
    token = tokenizer.convert_tokens_to_ids
    hidden, heads = 64, 4
    return Qwen3OmniMoeConfig(
        enable_audio_output=False,
        thinker_config={
            "audio_config": {
                "num_mel_bins": MELS, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 64,
                "d_model": 32, "output_dim": hidden, "max_source_positions": 500, "n_window": 50,
                "downsample_hidden_size": 16, "conv_chunksize": 100, "n_window_infer": 100,
            },
            "vision_config": {
                "depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": hidden,
                "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
            },
            "text_config": {
                "vocab_size": -(-len(tokenizer) // 16) * 16, "hidden_size": hidden, "intermediate_size": 128,
                "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2,
                "num_attention_heads": heads, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
                "tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 1e4},
                "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
            },
            "audio_token_id": token("<|AUDIO|>"), "image_token_id": token("<|IMAGE|>"), "video_token_id": token("<|VIDEO|>"),
            "audio_start_token_id": token("<|audio_bos|>"), "audio_end_token_id": token("<|audio_eos|>"),
            "vision_start_token_id": token("<|vision_bos|>"), "vision_end_token_id": token("<|vision_eos|>"),
            "initializer_range": 0.05,
        },
    )  # fmt: skip
