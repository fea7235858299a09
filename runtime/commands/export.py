"""`python -m runtime export JOB.json`: a trained student and its chains, for use without this project.

    config.json, model*.safetensors    in the layout of Qwen2.5-Omni on the hub: every tensor under `thinker.`, no talker
    tokenizer, processor, template     as the stage saved them
    c2f.json                           what a prompt and an answer look like, media limits, keys; `predict` reads it
    chains/train.jsonl, chains/clips   with `filter` among the folders: conversations as ms-swift and TRL read them

The stage saves the thinker alone, whose names transformers knows and vLLM does not: vLLM (0.10 and later) takes
Qwen2.5-Omni's own configuration and looks for its tensors under `thinker.`. The thinker's class of transformers loads
this layout as well; the class of the whole model does not, because it wants the talker's voices, which are a pickle.
That vLLM loads it was not tried: it needs a GPU.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from c2f_spec.errors import StageError
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Format, Media
from runtime.models.layout import as_released
from runtime.text.chains import prompt, spoken
from runtime.text.clips import read_facts, read_jsonl, read_manifest, write_jsonl
from runtime.text.prompts import turn

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG = "config.json"


def main(argv: Sequence[str]) -> int:
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    try:
        export({role: Path(folder) for role, folder in job["folders"].items()}, Path(job["out"]), job)
    except StageError as error:
        print(error, file=sys.stderr)
        return int(error.code)
    return 0


def export(folders: dict[str, Path], out: Path, job: dict[str, Any]) -> None:
    """Raises `DataWrong` for chains or a manifest that cannot be read."""
    out.mkdir(parents=True, exist_ok=True)
    model(folders["model"] / "model", out)
    fmt = TypeAdapter(Format).validate_python(job["spec"]["format"])
    facts = read_facts(folders["prepare"])
    trained = {name: facts[name] for name in ("name", "language", "low", "high", "family")}
    prompts = {
        language: prompt(fmt, language=language, text="{text}", low=facts["low"], high=facts["high"])
        for language in ("en", "zh")
    }
    media = Media.model_validate(job["spec"]["media"])
    facing = {
        "format": fmt.model_dump(mode="json"),
        "media": media.model_dump(mode="json"),
        "trained_on": trained,
        "max_new_tokens": Decoding().max_new_tokens,
        "prompts": prompts,
        "keys": job["keys"],
    }
    (out / "c2f.json").write_text(json.dumps(facing, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if "filter" in folders:
        asked = Prompt(
            prompts[facts["language"]],
            spoken(fmt, facts["language"]).language,
            media.audio == "in_video",
        )
        chains(folders["filter"], folders["prepare"], asked, out / "chains")


def model(source: Path, out: Path) -> None:
    """A thinker as its stage saved it -> a folder in the hub's layout."""
    from transformers import Qwen2_5OmniConfig
    from transformers.utils import logging

    if as_released(source, out) == source:  # adopted in that layout
        shutil.copytree(source, out, dirs_exist_ok=True)
        return
    logging.set_verbosity_error()  # of the talker, whose defaults do not fit a small vocabulary and which is not here
    thinker = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    config.architectures = ["Qwen2_5OmniForConditionalGeneration"]
    config.dtype = thinker.get("dtype")
    config.save_pretrained(out)


class Prompt(NamedTuple):
    """What stands in the user's turn."""

    question: str
    """With `{text}` where the clip's words go."""
    language: str
    interleaved: bool
    """Sound comes with the video."""


def chains(kept: Path, prepared: Path, asked: Prompt, out: Path) -> None:
    """Conversations about the clips, which lie beside them, as in the prepared data set; paths are relative to `train.jsonl`.

    A clip is named as often as the student saw it: not for sound that it lacks, in whose place a sentence stands.

    https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html (messages, videos, audios)
    https://huggingface.co/docs/trl/dataset_formats (conversational language modelling)
    """
    clips = {clip.id: clip for clip in read_manifest(prepared)}
    rows = []
    for row in read_jsonl(kept / "chains.jsonl"):
        clip = clips[row["id"]]
        (out / clip.media).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(prepared / clip.media, out / clip.media)
        question = asked.question.replace("{text}", clip.text)
        parts = turn(question, asked.language, clip.lacks, interleaved=asked.interleaved)
        content = "".join(part.get("text", f"<{part['type']}>") for part in parts)
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": row["text"]}]
        seen = {f"{kind}s": [clip.media] if {"type": kind} in parts else [] for kind in ("video", "audio")}
        rows.append({"id": clip.id, "messages": messages, **seen})
    write_jsonl(out / "train.jsonl", rows)
