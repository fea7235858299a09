"""Export a trained student and its chains, for use without this project: `python -m runtime export JOB.json`.

    config.json, model*.safetensors    in the layout of Qwen2.5-Omni on the hub: every tensor under `thinker.`, no talker
    tokenizer, processor, template     as the stage saved them
    c2f.json                           prompts, format of answers, media limits, keys; `predict` reads it
    chains/train.jsonl, chains/clips   with `filter` among the folders: conversations as ms-swift and TRL read them

The thinker's class of transformers loads it; the class of the whole model does not, because it wants the talker's voices,
which are a pickle. vLLM (0.10 and later) reads this layout; that it loads an export was not tried: it needs a GPU.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Format, Media
from runtime.commands import exit_code
from runtime.models.thinker import in_released_layout
from runtime.text.chains import build_prompt, resolve_language
from runtime.text.clips import read_facts, read_jsonl, read_manifest, write_jsonl
from runtime.text.prompts import user_turn

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    folders = {role: Path(folder) for role, folder in job["folders"].items()}
    return exit_code(lambda: export(folders, Path(job["out"]), job))


def export(folders: dict[str, Path], out: Path, job: dict[str, Any]) -> None:
    """Write the student, `c2f.json` and, if given, the chains to `out`. Raises `InvalidData` for unreadable chains or manifest."""
    out.mkdir(parents=True, exist_ok=True)
    if in_released_layout(folders["model"] / "model", out) != out:
        shutil.copytree(folders["model"] / "model", out, dirs_exist_ok=True)
    fmt = TypeAdapter(Format).validate_python(job["spec"]["format"])
    facts = read_facts(folders["prepare"])
    trained = {name: facts[name] for name in ("name", "language", "low", "high", "family")}
    prompts = {
        language: build_prompt(fmt, language=language, text="{text}", low=facts["low"], high=facts["high"])
        for language in ("en", "zh")
    }
    media = Media.model_validate(job["spec"]["media"])
    export_facts = {
        "format": fmt.model_dump(mode="json"),
        "media": media.model_dump(mode="json"),
        "trained_on": trained,
        "max_new_tokens": Decoding().max_new_tokens,
        "prompts": prompts,
        "keys": job["keys"],
    }
    (out / "c2f.json").write_text(
        json.dumps(export_facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    if "filter" in folders:
        user_prompt = Prompt(
            prompts[facts["language"]],
            resolve_language(fmt, facts["language"]).language,
            media.audio == "in_video",
        )
        chains(folders["filter"], folders["prepare"], user_prompt, out / "chains")


class Prompt(NamedTuple):
    """The user's turn of a conversation."""

    question: str
    """The prompt, with `{text}` for the clip's words."""
    language: str
    interleaved: bool
    """Whether sound comes with the video."""


def chains(filtered: Path, prepared: Path, user_prompt: Prompt, out: Path) -> None:
    """Write conversations about clips, with the clips beside them; paths are relative to `train.jsonl`.

    A clip is named once for video and once for audio, as the student gets it; for a modality that it lacks the prompt has a
    sentence instead.

    https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html (messages, videos, audios)
    https://huggingface.co/docs/trl/dataset_formats (conversational language modelling)
    """
    clips = {clip.id: clip for clip in read_manifest(prepared)}
    rows = []
    for row in read_jsonl(filtered / "chains.jsonl"):
        clip = clips[row["id"]]
        (out / clip.media).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(prepared / clip.media, out / clip.media)
        question = user_prompt.question.replace("{text}", clip.text)
        parts = user_turn(question, user_prompt.language, clip.lacks, interleaved=user_prompt.interleaved)
        content = "".join(part.get("text", f"<{part['type']}>") for part in parts)
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": row["text"]}]
        media = {f"{kind}s": [clip.media] if {"type": kind} in parts else [] for kind in ("video", "audio")}
        rows.append({"id": clip.id, "messages": messages, **media})
    write_jsonl(out / "train.jsonl", rows)
