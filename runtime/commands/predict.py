"""`python -m runtime predict MODEL CLIPS`: an exported student on a folder of clips -> a line of JSON for each.

What is said in `film.mp4` is in `film.txt` beside it. The clips go the same way as those of an evaluation: through the
same reader, prompts, media limits and greedy decoding, so an exported student answers as it was evaluated.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import TypeAdapter

from c2f_spec.errors import DataWrong, StageError
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Format, Media
from c2f_spec.store.digest import digest_file
from runtime.generation.generate import Generating
from runtime.media.decode import probe
from runtime.models.rows import Reader
from runtime.models.student import device, load
from runtime.text.chains import parse
from runtime.text.clips import Clip, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".flv")
"""Of clips; other files of the folder are let be."""
BATCH = 8
"""Clips that are answered together."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime predict")
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--language", choices=("en", "zh"))
    parser.add_argument("--without-text", action="store_true")
    args = parser.parse_args(argv)
    try:
        facing = read_export_facts(args.model)
        found = clips(args.clips, without_text=args.without_text)
        if args.out is None:
            write(facing, args, found, sys.stdout)
        else:
            with args.out.open("w", encoding="utf-8") as file:
                write(facing, args, found, file)
    except StageError as error:
        print(error, file=sys.stderr)
        return int(error.code)
    return 0


def read_export_facts(model: Path) -> dict[str, Any]:
    """`c2f.json` of an exported student. Raises `DataWrong` if the folder has none."""
    if not (model / "c2f.json").is_file():
        raise DataWrong(
            f"{model} is no exported student: it has no c2f.json", hint="`c2f-spec export` makes one"
        )
    facing: dict[str, Any] = json.loads((model / "c2f.json").read_text(encoding="utf-8"))
    return facing


def clips(folder: Path, *, without_text: bool) -> list[tuple[Path, str]]:
    """The clips of a folder in the order of their names, with what is said in them. Raises `DataWrong`."""
    if not folder.is_dir():
        raise DataWrong(f"{folder} is no folder", hint="name the folder that the clips are in")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataWrong(f"{folder} has no clips", hint=f"their names end in {', '.join(SUFFIXES)}")
    texts = {path: path.with_suffix(".txt") for path in paths}
    silent = [path for path, text in texts.items() if not text.is_file()]
    if silent and not without_text:
        more = f" and {len(silent) - 1:,} others" if len(silent) > 1 else ""
        raise DataWrong(
            f"what is said in {silent[0]}{more} is not there",
            hint=f"write it into {texts[silent[0]].name} beside it, or say --without-text",
        )
    return [(path, text.read_text("utf-8").strip() if text.is_file() else "") for path, text in texts.items()]


def write(
    facing: dict[str, Any], args: argparse.Namespace, found: list[tuple[Path, str]], file: TextIO
) -> None:
    """A line a clip, in order; a clip that cannot be read has an `error` and no score."""
    with tempfile.TemporaryDirectory() as scratch:
        problems = write_prepared(Path(scratch), facing, found, args.language)
        said = _predict(
            args.model, facing, Path(scratch), [i for i in range(len(found)) if i not in problems]
        )
        for number, (path, _) in enumerate(found):
            clip = {"clip": str(path.relative_to(args.clips))}
            row = (
                {"polarity": None, "score": None, "error": problems[number]}
                if number in problems
                else next(said)
            )
            file.write(json.dumps(clip | row, ensure_ascii=False) + "\n")
            file.flush()


def write_prepared(
    folder: Path, facing: dict[str, Any], found: list[tuple[Path, str]], language: str | None
) -> dict[int, str]:
    """Make `folder` a prepared data set, which is what a `Reader` reads; returns what is wrong with which clips.

    Its labels are never looked at.
    """
    (folder / "clips").mkdir()
    made, problems = [], {}
    for number, (path, text) in enumerate(found):
        seen = probe(path)
        if seen.problem:
            problems[number] = seen.problem
            continue
        media = f"clips/{number}{path.suffix.lower()}"
        (folder / media).symlink_to(path.resolve())
        digest = digest_file(path).blake3
        made.append(
            Clip(
                str(number), "clips", "test", text, 0.0, "neutral", media, seen.duration_s, digest, seen.lacks
            )
        )
    write_manifest(folder, made)
    facts = facing["trained_on"] | ({"language": language} if language else {})
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return problems


def _predict(
    model: Path, facing: dict[str, Any], folder: Path, numbers: list[int]
) -> Iterator[dict[str, Any]]:
    """What the student says of each of these clips, in order."""
    from transformers.utils import logging

    fmt = TypeAdapter(Format).validate_python(facing["format"])
    logging.set_verbosity_error()  # of the talker, which is not here
    student = load(model)
    student.model.eval().to(device())
    engine = Generating(student, Decoding(max_new_tokens=facing["max_new_tokens"]), BATCH)
    reader = Reader(folder, student.processor, fmt, Media.model_validate(facing["media"]))
    for start in range(0, len(numbers), BATCH):
        rows = [reader.row(str(number)) for number in numbers[start : start + BATCH]]
        said_of = {said.id: said for ended in engine.answer(rows, {}) for said in ended}
        for said in (said_of[row.id] for row in rows):
            answer = parse(fmt, said.text)
            read = {"polarity": answer.polarity, "score": answer.score, "well_formed": answer.well_formed}
            yield read | {"ended": said.ended, "output": said.text}
