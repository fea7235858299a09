"""A data set of one's own, declared in the spec: what the compiler must know of it before it sees a clip."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from c2f_spec.spec.base import COSMETIC, Name, SpecModel, at_default
from c2f_spec.spec.datasets import ALL, Dataset


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
    language: Literal["en", "zh"] = Field(description="Of what is said, and of the prompts.")
    low: float = Field(description="Least label there can be: strongly negative.")
    high: float = Field(description="Greatest label there can be: strongly positive.")
    family: Literal["mosi", "sims"] = Field(
        default="mosi", description="Whose metrics and classes apply, scaled to this range."
    )
    decimals: Annotated[int, Field(ge=0, le=6)] = Field(default=1, description="That its labels need.")
    clips: Splits = Field(default=at_default(Splits), description="How many clips its splits have.")
    seconds: PositiveFloat = Field(
        default=4.0, description="Mean length of a clip, for estimates.", json_schema_extra=COSMETIC
    )

    @property
    def facts(self) -> Dataset:
        """Return the data set as one of those that are known by name."""
        counts = tuple(getattr(self.clips, split) or 0 for split in ALL)
        splits = tuple(split for split in ALL if getattr(self.clips, split))
        return Dataset(
            self.name, "user_folder", self.language, self.low, self.high, self.family, splits, self.decimals,
            counts=(counts[0], counts[1], counts[2]),
        )  # fmt: skip
