"""The data sets that a spec may name, one line each, and the user data sets that a spec declares.

The reader of a data set's files is `runtime/datasets/<reader>.py`. Facts: METHOD 5 and the papers of the data sets; the
ICWSM ratings: Hutto and Gilbert (2014), https://doi.org/10.1609/icwsm.v8i1.14550.
"""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from c2f_spec.spec.base import COSMETIC, Name, SpecModel, at_default

Split = Literal["train", "valid", "test"]
ALL: tuple[Split, ...] = ("train", "valid", "test")


class Dataset(NamedTuple):
    """The facts of a data set that the compiler, the prompts and the metrics need."""

    name: str
    reader: str
    """Module of `runtime/datasets` that reads it."""
    language: Literal["en", "zh"]
    low: float
    high: float
    family: Literal["mosi", "sims"]
    """The family whose metrics apply (METHOD 4.1 or 4.2); a range other than the family's is scaled to it for the classes."""
    train: int = 0
    """Published clips of the training split (METHOD 5); 0 if there is none."""
    valid: int = 0
    test: int = 0
    seconds: float = 4.0
    """Mean length of a clip."""
    decimals: int = 1
    """Decimals that its labels need: MOSEI's are thirds, the others lie on tenths (METHOD 2.3)."""
    rendered: bool = False
    """Voice and face are drawn by us from the rating, with noise. Such a data set shows the tool, not the science."""
    contains: tuple[str, ...] = ()
    """Data sets whose clips it includes: an evaluation across them leaks."""

    @property
    def counts(self) -> dict[Split, int]:
        """Return the published clips of each split, in their order."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split, clips in self.counts.items() if clips)


def _ratings(domain: str, train: int, valid: int, test: int) -> Dataset:
    name = f"icwsm2014-{domain}"
    return Dataset(name, "icwsm2014", "en", -4.0, 4.0, "mosi", train, valid, test, 2.0, rendered=True)


DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        _ratings("movie", 7453, 1065, 2087),
        _ratings("amazon", 0, 0, 3708),
        _ratings("nyt", 0, 0, 5190),
        _ratings("tweets", 0, 0, 4200),
        Dataset("ch-sims", "thuiar", "zh", -1.0, 1.0, "sims", 1368, 456, 457, 3.7),
        Dataset("ch-sims-v2", "thuiar", "zh", -1.0, 1.0, "sims", 2722, 647, 1034, 3.6, contains=("ch-sims",)),
        Dataset("cmu-mosi", "thuiar", "en", -3.0, 3.0, "mosi", 1284, 229, 686, 4.2),
        Dataset("cmu-mosei", "thuiar", "en", -3.0, 3.0, "mosi", 16326, 1871, 4659, 7.3, decimals=2),
    )
}


class Splits(SpecModel):
    """Clips of each split; one that is absent is not there."""

    train: PositiveInt | None = Field(default=None, description="Clips of the training split.")
    valid: PositiveInt | None = Field(default=None, description="Clips of the validation split.")
    test: PositiveInt | None = Field(default=None, description="Clips of the test split.")


def off_centre(low: float, high: float) -> tuple[str, str]:
    """Return message and hint for a scale whose middle is not 0.

    Prompts, polarities and classes all take 0 for neutral (METHOD 1.4).
    """
    middle, half = (low + high) / 2, (high - low) / 2
    message = f"labels range from {low:g} to {high:g}, but 0 (neutral) must be the middle of the range"
    return message, f"subtract {middle:g} from every label, and set `low: {-half:g}` and `high: {half:g}`"


class Own(SpecModel):
    """A folder with clips and a table `clips.csv`, staged by `c2f-spec data add NAME --from DIR`, which prints this."""

    name: Name = Field(description="What `data.train` and `evaluate.datasets` call it.")
    language: Literal["en", "zh"] = Field(description="Language of the clips' words and of the prompts.")
    low: float = Field(description="Least label there can be: strongly negative.")
    high: float = Field(description="Greatest label there can be: strongly positive.")
    family: Literal["mosi", "sims"] = Field(
        default="mosi", description="Whose metrics and classes apply, scaled to this range."
    )
    decimals: Annotated[int, Field(ge=0, le=6)] = Field(
        default=1, description="Decimals that its labels need."
    )
    clips: Splits = Field(default=at_default(Splits), description="How many clips its splits have.")
    seconds: PositiveFloat = Field(
        default=4.0, description="Mean length of a clip, for estimates.", json_schema_extra=COSMETIC
    )

    @property
    def facts(self) -> Dataset:
        """Return the data set as one of those that are known by name."""
        train, valid, test = (getattr(self.clips, split) or 0 for split in ALL)
        return Dataset(
            self.name, "user_folder", self.language, self.low, self.high, self.family,
            train, valid, test, self.seconds, self.decimals,
        )  # fmt: skip
