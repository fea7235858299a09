"""The evaluation matrix: checkpoints by data sets, and how answers become scores (METHOD 2.6, 4.5)."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import (
    ENDPOINT_PATTERN,
    PLACEMENT,
    REPORT,
    Fraction,
    Name,
    Named,
    SpecModel,
    at_default,
)

Checkpoint = Literal["base", "sft", "grpo"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("base", "sft", "grpo")
"""The checkpoints of an experiment, in the order in which it trains them."""


class TransformersEngine(SpecModel):
    """The model that is trained generates by itself."""

    kind: Literal["transformers"] = "transformers"


class VllmEngine(SpecModel):
    """vLLM generates, several times faster; its logits differ in the last bits, so it is part of the key."""

    kind: Literal["vllm"] = "vllm"
    mode: Literal["colocate", "server"] = Field(
        default="colocate",
        description="`colocate`: on the GPUs of the stage, asleep while the model trains; `server`: a `vllm serve` with "
        "GPUs of its own, only for `grpo` and on `local`: on this machine it has the last `tensor_parallel` of them.",
        json_schema_extra=PLACEMENT,
    )
    url: Annotated[str, Field(pattern=ENDPOINT_PATTERN)] | None = Field(
        default=None,
        description="Of the server, without `/v1`; only with `mode: server`.",
        json_schema_extra=PLACEMENT,
    )
    tensor_parallel: PositiveInt = Field(
        default=1, description="GPUs that share each layer.", json_schema_extra=PLACEMENT
    )
    memory: Fraction = Field(
        default=0.35, description="Share of a GPU's memory that vLLM takes.", json_schema_extra=PLACEMENT
    )


Engine = Annotated[TransformersEngine | VllmEngine, Field(discriminator="kind"), Named("transformers")]


class Decoding(SpecModel):
    """How answers are generated for evaluation."""

    max_new_tokens: PositiveInt = Field(
        default=512, description="Longest answer, in tokens. Not in the paper."
    )
    temperature: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="0 is greedy. Not in the paper."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Nucleus, where the temperature is above 0. Not in the paper."
    )


class Bootstrap(SpecModel):
    """Percentile intervals over clips."""

    resamples: PositiveInt = Field(
        default=1000, description="Resamples of the clips.", json_schema_extra=REPORT
    )
    seed: NonNegativeInt = Field(default=0, description="Seed of the resampling.", json_schema_extra=REPORT)


class Import(SpecModel):
    """Predictions that another code base made, scored by the same metrics as ours."""

    name: Name = Field(description="Of the model, as tables call its row.")
    dataset: str = Field(description="Test set that it was asked about, one of `datasets`.")
    predictions: Name = Field(
        description='What `c2f-spec data add NAME --predictions FILE` staged: lines of {"id", "prediction"}.'
    )


class Evaluate(SpecModel):
    """The checkpoints that are evaluated and their data sets. Hints are never given here."""

    checkpoints: tuple[Checkpoint, ...] = Field(
        description="`base` is the untouched student (zero-shot), `sft` and `grpo` are what those stages made.",
        min_length=1,
    )
    datasets: tuple[str, ...] = Field(
        description="Test sets, by name.",
        min_length=1,
        json_schema_extra={"examples": [["ch-sims", "ch-sims-v2", "cmu-mosi", "cmu-mosei"]]},
    )
    decoding: Decoding = Field(default=at_default(Decoding), description="How answers are generated.")
    engine: Engine = Field(
        default=at_default(TransformersEngine), description="What generates them. Not in the paper."
    )
    score_space: Literal["prompt_range", "rescale_from_train", "as_is"] = Field(
        default="prompt_range",
        description="Whose range the prompt names, and whether scores are rescaled. Not in the paper.",
    )
    # `import` is a keyword of Python, and no other word says it.
    __annotations__["import"] = Annotated[
        tuple[Import, ...],
        Field(
            default=(),
            description="Predictions of other models, which get their row by the same metrics. Not in the paper.",
        ),
    ]
    baseline: Literal["none", "ridge"] = Field(
        default="none",
        description="`ridge`: linear baselines on words, voice, face and all three, fitted on the training split.",
    )
    unparsable: Literal["worst_case", "neutral_fill", "parsed_only"] = Field(
        default="worst_case",
        description="How an answer without a score counts in the main columns. Not in the paper.",
        json_schema_extra=REPORT,
    )
    bootstrap: Bootstrap = Field(
        default=at_default(Bootstrap), description="Confidence intervals.", json_schema_extra=REPORT
    )

    @property
    def imported(self) -> tuple[Import, ...]:
        """Return the predictions that `import` names."""
        found: tuple[Import, ...] = getattr(self, "import")
        return found
