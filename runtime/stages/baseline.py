"""The stage `baseline`: fit linear models on words, voice and face, alone and together.

Reads   train/             the prepared training set
        test/<data set>/   each prepared set that is evaluated
Writes  predictions.jsonl  {"dataset", "id", "label", "text", "voice", "face", "all"}: predicted ratings

Ridge regression on TF-IDF of words and word pairs, on pitch and level of the voice, on mouth and brows of the face, and
on all of these. Its strength is chosen on the validation split, or by 5-fold cross-validation where that is too small.
A student that understands more than one modality must beat each column but the last.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_spec.errors import InvalidData
from runtime.console import log_line
from runtime.media.measure import measure
from runtime.process.parallel import map_processes
from runtime.text.clips import read_facts, read_manifest, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media
    from runtime.process.context import Context
    from runtime.text.clips import Clip

COLUMNS = ("text", "voice", "face", "all")
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
MIN_VALIDATION_CLIPS = 50
"""Least validation clips to choose the strength on; with fewer it is chosen by cross-validation."""
MEASURE_SCALE = 10.0
"""Standard deviation to which measures are scaled, while TF-IDF rows have length 1: the penalty, chosen for thousands of rare
words, then hardly affects four numbers that every clip has."""


def run(ctx: Context) -> dict[str, Any]:
    """Return the correlation with the ratings by data set and column; `None` where it is undefined."""
    train_folder = ctx.inputs["train"]
    roles = sorted(role for role in ctx.inputs if role.startswith("test/"))
    train, valid = read_manifest(train_folder, "train"), read_manifest(train_folder, "valid")
    tests = {role: read_manifest(ctx.inputs[role], "test") for role in roles}
    if len(train) < 2:
        raise InvalidData(
            f"{len(train)} training clips are too few for a linear model", hint="raise `data.limit.train`"
        )

    clips = [*train, *valid, *(clip for role in roles for clip in tests[role])]
    folders = [train_folder] * (len(train) + len(valid)) + [ctx.inputs[r] for r in roles for _ in tests[r]]
    paths = [(folder / clip.media, clip.lacks) for folder, clip in zip(folders, clips, strict=True)]
    measured = []
    for numbers in map_processes(partial(_measure, ctx.media), paths):
        measured.append(numbers)
        ctx.progress(len(measured), len(paths), "clips")
    fitted = predict(clips, fill_missing(np.array(measured), len(train)), train=len(train), valid=len(valid))

    rows = []
    summary: dict[str, Any] = {}
    start = len(train) + len(valid)
    for role in roles:
        part = slice(start, start + len(tests[role]))
        start = part.stop
        name = read_facts(ctx.inputs[role])["name"]
        predicted = {column: fitted[column][part] for column in COLUMNS}
        rows += [
            {"dataset": name, "id": clip.id, "label": clip.label}
            | {column: round(float(predicted[column][n]), 4) for column in COLUMNS}
            for n, clip in enumerate(tests[role])
        ]
        labels = np.array([clip.label for clip in tests[role]])
        summary[name] = {column: pearson(predicted[column], labels) for column in COLUMNS}
        log_line(f"{name}: " + ", ".join(f"{c} {v}" for c, v in summary[name].items()) + " (Corr)")
    write_jsonl(ctx.out / "predictions.jsonl", rows)
    return {"clips": len(rows), "corr": summary}


def predict(
    clips: list[Clip], measured_NM: NDArray[np.float64], *, train: int, valid: int
) -> Mapping[str, Any]:
    """Return predicted ratings of all `clips` (N) by column, fitted on the first `train`; the next `valid` choose the strength."""
    from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfVectorizer

    labels_N = np.array([clip.label for clip in clips])
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([clip.text for clip in clips[:train]])
    text = words.transform([clip.text for clip in clips])
    spread = measured_NM[:train].std(axis=0)
    scaled = (
        MEASURE_SCALE * (measured_NM - measured_NM[:train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    )
    columns = {
        "text": text,
        "voice": scaled[:, :2],
        "face": scaled[:, 2:],
        "all": hstack([text, csr_matrix(scaled)]).tocsr(),
    }
    return {name: _ridge(matrix, labels_N, train, valid) for name, matrix in columns.items()}


def _ridge(matrix: Any, labels_N: NDArray[np.float64], train: int, valid: int) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import cross_val_score

    fit = slice(0, train)
    choose = slice(train, train + valid)

    def error(strength: float) -> float:
        if valid >= MIN_VALIDATION_CLIPS:
            model = Ridge(strength).fit(matrix[fit], labels_N[fit])
            return float(np.mean((model.predict(matrix[choose]) - labels_N[choose]) ** 2))
        folds = min(5, train)
        scores = cross_val_score(
            Ridge(strength), matrix[fit], labels_N[fit], cv=folds, scoring="neg_mean_squared_error"
        )
        return -float(np.mean(scores))

    return Ridge(min(STRENGTHS, key=error)).fit(matrix[fit], labels_N[fit]).predict(matrix)


def pearson(predicted: NDArray[np.float64], labels: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation to 4 decimals; `None` for fewer than two clips or a constant."""
    if len(labels) < 2 or predicted.std() == 0 or labels.std() == 0:
        return None
    return round(float(np.corrcoef(predicted, labels)[0, 1]), 4)


def fill_missing(measured_NM: NDArray[np.float64], train: int) -> NDArray[np.float64]:
    """Return the measures with NaN (no voice or face) replaced by the mean of the first `train` clips, or 0."""
    present = ~np.isnan(measured_NM[:train])
    total = np.where(present, measured_NM[:train], 0).sum(axis=0)
    return np.where(np.isnan(measured_NM), total / np.maximum(present.sum(axis=0), 1), measured_NM)


def _measure(media: Media, clip: tuple[Path, tuple[str, ...]]) -> list[float]:
    path, lacks = clip
    measures = measure(path, media, lacks)
    return [float(np.log2(measures.pitch_hz)), measures.level_db, measures.mouth_px, measures.brows_px]
