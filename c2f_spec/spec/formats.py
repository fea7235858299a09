"""The form of prompt and answer (METHOD 1.3, 1.9, 2)."""

from typing import Annotated, Literal

from pydantic import Field

from c2f_spec.spec.base import TAG_PATTERN, Named, SpecModel

Language = Literal["dataset", "en", "zh"]
Polarity = Literal["negative", "neutral", "positive"]
POLARITIES: tuple[Polarity, ...] = ("negative", "neutral", "positive")
"""The polarities, in the order of the scale."""
Decimals = Annotated[int, Field(ge=0, le=4)]
Tag = Annotated[str, Field(pattern=TAG_PATTERN)]


class C2f(SpecModel):
    """Coarse to fine: polarity, then a chain of thought, then the score (paper, Fig. 4)."""

    kind: Literal["c2f"] = "c2f"
    language: Language = Field(
        default="dataset",
        description="Language of the prompt; `dataset` follows the clip's data set. Not in the paper.",
    )
    polarity_words: Language = Field(
        default="en",
        description="Language of the polarity that prompts, targets and hints name: English everywhere, so that they are the "
        "same across data sets, or that of the clip's data set. Not in the paper.",
    )
    label_decimals: Decimals = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )


class Dc(SpecModel):
    """Discrimination-calibration, as the paper's first version calls the same two steps; tag names are fields."""

    kind: Literal["dc"] = "dc"
    language: Language = Field(default="dataset", description="Language of the prompt. Not in the paper.")
    polarity_words: Language = Field(
        default="en",
        description="Language of the polarity: English everywhere, or that of the clip's data set. Not in the paper.",
    )
    label_decimals: Decimals = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )
    polarity_tag: Tag = Field(
        default="discrimination", description="Tag around the polarity. Not in the paper."
    )
    think_tag: Tag = Field(default="think", description="Tag around the chain of thought. Not in the paper.")
    score_tag: Tag = Field(default="calibration", description="Tag around the score. Not in the paper.")


class Direct(SpecModel):
    """The black-box baseline: the answer is the score and nothing else (paper: "direct" fine-tuning)."""

    kind: Literal["direct"] = "direct"
    language: Language = Field(default="dataset", description="Language of the prompt. Not in the paper.")
    label_decimals: Decimals = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )


Format = Annotated[C2f | Dc | Direct, Field(discriminator="kind"), Named("c2f")]
