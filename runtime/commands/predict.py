"""Run an exported student on a folder of clips, a line of JSON for each: `python -m runtime predict MODEL CLIPS`.

The words spoken in `film.mp4` are in `film.txt` beside it. Clips are processed as in an evaluation, with the same reader,
prompts, media limits and greedy decoding, so an exported student answers as it was evaluated.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import TypeAdapter

from c2f_spec.errors import InvalidData
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Format, Media
from c2f_spec.store.digest import digest_file
from runtime.commands import exit_code
from runtime.generation.generate import TransformersEngine
from runtime.media.decode import probe
from runtime.models.rows import Reader
from runtime.models.thinker import device, load
from runtime.text.chains import parse_answer
from runtime.text.clips import Clip, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".flv")
"""Suffixes of clips; other files of the folder are ignored."""
BATCH = 8
"""Clips of a batch."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime predict")
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--language", choices=("en", "zh"))
    parser.add_argument("--without-text", action="store_true")
    args = parser.parse_args(argv)

    def command() -> None:
        facts = read_export_facts(args.model)
        transcribed = clips(args.clips, without_text=args.without_text)
        if args.out is None:
            write(facts, args, transcribed, sys.stdout)
        else:
            with args.out.open("w", encoding="utf-8") as file:
                write(facts, args, transcribed, file)

    return exit_code(command)


def read_export_facts(model: Path) -> dict[str, Any]:
    """Return `c2f.json` of an exported student. Raises `InvalidData` if the folder has none."""
    if not (model / "c2f.json").is_file():
        raise InvalidData(
            f"{model} is not an exported student: c2f.json not found",
            hint="run `c2f-spec export` to make one",
        )
    facts: dict[str, Any] = json.loads((model / "c2f.json").read_text(encoding="utf-8"))
    return facts


def clips(folder: Path, *, without_text: bool) -> list[tuple[Path, str]]:
    """Return the clips of a folder in the order of their names, with the words spoken in them. Raises `InvalidData`."""
    if not folder.is_dir():
        raise InvalidData(f"folder not found: {folder}", hint="name the folder with the clips")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidData(f"{folder} has no clips", hint=f"their names end in {', '.join(SUFFIXES)}")
    texts = {path: path.with_suffix(".txt") for path in paths}
    untranscribed = [path for path, text in texts.items() if not text.is_file()]
    if untranscribed and not without_text:
        more = f" and {len(untranscribed) - 1:,} others" if len(untranscribed) > 1 else ""
        raise InvalidData(
            f"missing transcript of {untranscribed[0]}{more}",
            hint=f"write the spoken words to {texts[untranscribed[0]].name} beside it, or add --without-text",
        )
    return [(path, text.read_text("utf-8").strip() if text.is_file() else "") for path, text in texts.items()]


def write(
    facts: dict[str, Any], args: argparse.Namespace, transcribed: list[tuple[Path, str]], file: TextIO
) -> None:
    """Write a line for each clip, in order; a clip that cannot be read has an `error` and no score."""
    with tempfile.TemporaryDirectory() as scratch:
        problems = write_prepared(Path(scratch), facts, transcribed, args.language)
        answers = _predict(
            args.model, facts, Path(scratch), [i for i in range(len(transcribed)) if i not in problems]
        )
        for number, (path, _) in enumerate(transcribed):
            clip = {"clip": str(path.relative_to(args.clips))}
            row = (
                {"polarity": None, "score": None, "error": problems[number]}
                if number in problems
                else next(answers)
            )
            file.write(json.dumps(clip | row, ensure_ascii=False) + "\n")
            file.flush()


def write_prepared(
    folder: Path, facts: dict[str, Any], transcribed: list[tuple[Path, str]], language: str | None
) -> dict[int, str]:
    """Write a prepared data set for `Reader` to `folder`, and return the problem of each unusable clip by number.

    Its labels are placeholders.
    """
    (folder / "clips").mkdir()
    usable, problems = [], {}
    for number, (path, text) in enumerate(transcribed):
        file = probe(path)
        if file.problem:
            problems[number] = file.problem
            continue
        media = f"clips/{number}{path.suffix.lower()}"
        (folder / media).symlink_to(path.resolve())
        digest = digest_file(path).blake3
        usable.append(
            Clip(
                str(number), "clips", "test", text, 0.0, "neutral", media, file.duration_s, digest, file.lacks
            )
        )
    write_manifest(folder, usable)
    dataset = facts["trained_on"] | ({"language": language} if language else {})
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    return problems


def _predict(
    model: Path, facts: dict[str, Any], folder: Path, numbers: list[int]
) -> Iterator[dict[str, Any]]:
    """Yield the student's answer to each of these clips, in order."""
    from transformers.utils import logging

    fmt = TypeAdapter(Format).validate_python(facts["format"])
    logging.set_verbosity_error()  # about the talker, which is not exported
    student = load(model)
    student.model.eval().to(device())
    engine = TransformersEngine(student, Decoding(max_new_tokens=facts["max_new_tokens"]), BATCH)
    reader = Reader(folder, student.processor, fmt, Media.model_validate(facts["media"]))
    for start in range(0, len(numbers), BATCH):
        rows = [reader.row(str(number)) for number in numbers[start : start + BATCH]]
        completions = {c.id: c for batch in engine.answer(rows, {}) for c in batch}
        for completion in (completions[row.id] for row in rows):
            answer = parse_answer(fmt, completion.text)
            fields = {"polarity": answer.polarity, "score": answer.score, "well_formed": answer.well_formed}
            yield fields | {"ended": completion.ended, "output": completion.text}
