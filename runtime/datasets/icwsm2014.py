"""ICWSM 2014: sentences of four domains with the mean sentiment rating of at least 20 people. `folder` -> rows.

Source: C. J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014, https://doi.org/10.1609/icwsm.v8i1.14550; the files are in the source distribution of vaderSentiment
2.5 on PyPI (`additional_resources/hutto_ICWSM_2014.tar.gz`), MIT licence. A domain is one file of lines that end in
CR LF: id, rating in [-4, 4], sentence, separated by tabs. A row of `movieReviewSnippets_GroundTruth.txt`:

    3<TAB>-0.6<TAB>Effective but too tepid biopic

becomes Row("movie-3", "train", "Effective but too tepid biopic", -0.6). Movie reviews are assigned to the splits 70 : 10 :
20 by a hash of the id; the other domains are test sets. Some sentences occur under several ids (2 of 10,605 movie
rows); they are kept as distributed. Bytes that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import DATASETS
from runtime.datasets.labelled_rows import LabelledRow, checked, hash_fraction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.datasets import Split

FILES = {
    "icwsm2014-movie": "movieReviewSnippets_GroundTruth.txt",
    "icwsm2014-amazon": "amazonReviewSnippets_GroundTruth.txt",
    "icwsm2014-nyt": "nytEditorialSnippets_GroundTruth.txt",
    "icwsm2014-tweets": "tweets_GroundTruth.txt",
}
LICENCE = "MIT"
SOURCE = "https://pypi.org/project/vaderSentiment/2.5/ additional_resources/hutto_ICWSM_2014.tar.gz"
COPY_HINT = "stage an intact copy: c2f-spec data add {name} --fetch"


def read(name: str, folder: Path) -> list[LabelledRow]:
    """Return every row of data set `name` from its file in `folder`. Raises `InvalidData` with file and line."""
    path = folder / FILES[name]
    hint = COPY_HINT.format(name=name)
    try:
        lines = path.read_bytes().decode("utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InvalidData(f"cannot read {path}: {error.strerror}", hint=hint) from error
    lines_by_id: dict[str, int] = {}
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _row(name, line, lines_by_id)
        except ValueError as error:
            raise InvalidData(f"{path}:{number}: {error}", hint=hint) from error
        lines_by_id[row.id] = number
        rows.append(row)
    return checked(path, rows, (), hint)


def _row(name: str, line: str, lines_by_id: Mapping[str, int]) -> LabelledRow:
    """Return the row of a line. Raises `ValueError` with the problem."""
    parts = line.removesuffix("\r").split("\t")
    if len(parts) != 3:
        raise ValueError(f"{len(parts)} columns instead of id, rating and sentence")
    id_, rating, text = (part.strip() for part in parts)
    if not (id_ and id_.isascii() and id_.replace("_", "").isalnum()):
        raise ValueError(f"invalid id `{id_}`: only letters, digits and `_` are allowed")
    if not text:
        raise ValueError("missing sentence")
    facts = DATASETS[name]
    try:
        label = float(rating)
    except ValueError:
        raise ValueError(f"rating `{rating}` is not a number") from None
    if not facts.low <= label <= facts.high:  # also NaN
        raise ValueError(f"rating {rating} is out of range [{facts.low:g}, {facts.high:g}]")
    clip = f"{name.removeprefix('icwsm2014-')}-{id_}"
    if clip in lines_by_id:
        raise ValueError(f"duplicate id `{id_}`, first on line {lines_by_id[clip]}")
    return LabelledRow(clip, _split(clip) if "train" in facts.splits else "test", text, label)


def _split(clip: str) -> Split:
    fraction = hash_fraction(clip, "split")
    return "train" if fraction < 0.7 else "valid" if fraction < 0.8 else "test"
