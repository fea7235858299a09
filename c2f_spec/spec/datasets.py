"""The data sets that a spec may name: language, range of the annotations, splits.

One line each; the reader of a data set's files is `runtime/datasets/<module>.py`. Facts: METHOD 5 and the papers of
the data sets; the ICWSM ratings: Hutto and Gilbert (2014), https://doi.org/10.1609/icwsm.v8i1.14550.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Split = Literal["train", "valid", "test"]
ALL: tuple[Split, ...] = ("train", "valid", "test")


class Dataset(NamedTuple):
    """What the compiler, the prompts and the metrics must know of a data set."""

    name: str
    reader: str
    """Module of `runtime/datasets` that reads it."""
    language: Literal["en", "zh"]
    low: float
    high: float
    family: Literal["mosi", "sims"]
    """Whose metrics apply (METHOD 4.1 or 4.2); a range other than the family's is scaled to it for the classes."""
    splits: tuple[Split, ...] = ALL
    decimals: int = 1
    """That its labels need: MOSEI's are thirds, the others lie on tenths (METHOD 2.3)."""
    rendered: bool = False
    """Voice and face are drawn by us from the rating, with noise. Such a data set shows the tool, not the science."""
    counts: tuple[int, int, int] | None = None
    """Published clips of the splits (METHOD 5)."""
    contains: tuple[str, ...] = ()
    """Data sets whose clips it includes: an evaluation across them leaks."""


def _ratings(domain: str, splits: tuple[Split, ...]) -> Dataset:
    return Dataset(f"icwsm2014-{domain}", "icwsm2014", "en", -4.0, 4.0, "mosi", splits, rendered=True)


DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        _ratings("movie", ALL),
        _ratings("amazon", ("test",)),
        _ratings("nyt", ("test",)),
        _ratings("tweets", ("test",)),
        Dataset("ch-sims", "thuiar", "zh", -1.0, 1.0, "sims", counts=(1368, 456, 457)),
        Dataset(
            "ch-sims-v2", "thuiar", "zh", -1.0, 1.0, "sims", counts=(2722, 647, 1034), contains=("ch-sims",)
        ),
        Dataset("cmu-mosi", "thuiar", "en", -3.0, 3.0, "mosi", counts=(1284, 229, 686)),
        Dataset("cmu-mosei", "thuiar", "en", -3.0, 3.0, "mosi", decimals=2, counts=(16326, 1871, 4659)),
    )
}
