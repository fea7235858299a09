"""Coefficients of time and memory, by pool. Every default is METHOD 8.4 or 8.5's, for A800 and A100 GPUs of 80 GB.

No default was timed on such a GPU: they come from published footprints and from the peak of the hardware. What stages
measured replaces them (`c2f_spec/cost/calibrate.py`).
"""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from c2f_spec.spec.base import Fraction, SpecModel


class Coefficients(SpecModel):
    """Speed, memory and price of a GPU of a pool."""

    flops: PositiveFloat = Field(
        default=312e12, description="Peak of one GPU in bfloat16, in operations a second."
    )
    train_utilisation: Fraction = Field(default=0.30, description="Share of the peak that training reaches.")
    forward_utilisation: Fraction = Field(
        default=0.35, description="Share of the peak that a pass without gradients reaches."
    )
    token_seconds: PositiveFloat = Field(
        default=0.030,
        description="Seconds a generated token of a whole batch takes in transformers, for a model of 28 layers.",
    )
    vllm_token_seconds: PositiveFloat = Field(default=0.013, description="The same in vLLM.")
    batch_seconds: NonNegativeFloat = Field(
        default=1.5, description="Seconds of a batch before its first token."
    )
    batch_rows: PositiveInt = Field(default=32, description="Most answers that vLLM writes as one batch.")
    step_seconds: NonNegativeFloat = Field(
        default=0.5, description="Seconds of a GRPO step besides generating, scoring and training."
    )
    sync_seconds: NonNegativeFloat = Field(
        default=3.0, description="Seconds in which vLLM takes over new weights, once a step."
    )
    start_seconds: NonNegativeFloat = Field(
        default=750,
        description="Seconds from the start of a stage's pods to its work: image, downloads, weights onto the GPU.",
    )
    hard: Fraction = Field(
        default=0.25, description="Share of the clips that are hard, and are answered once more with a hint."
    )
    text_tokens: NonNegativeInt = Field(
        default=420, description="Tokens of a prompt besides frames and sound."
    )
    chain_tokens: PositiveInt = Field(default=320, description="Tokens of an answer with a chain of thought.")
    teacher_tokens: PositiveInt = Field(default=400, description="Tokens of a teacher's reply.")
    trust: Annotated[float, Field(ge=1)] = Field(
        default=3.0,
        description="Factor by which an estimate may be wrong, either way: it is shown as a range.",
    )
    memory: PositiveFloat | None = Field(
        default=None,
        description="GiB of a GPU that can be used; absent: 79/80 of the pool's `gpu_memory`, or of 80 GiB.",
    )
    memory_factor: PositiveFloat = Field(
        default=1.08, description="What the allocator takes, over what tensors need."
    )
    memory_fixed: NonNegativeFloat = Field(
        default=3.0, description="GiB of a GPU for CUDA, NCCL and kernels, besides tensors."
    )
    warn_above: Fraction = Field(
        default=0.734, description="Share of the memory above which an estimate is warned of (58 of 79 GiB)."
    )
    refuse_above: Fraction = Field(
        default=0.92, description="Share of the memory above which it is refused (72.7 of 79 GiB)."
    )
    price: NonNegativeFloat | None = Field(
        default=None, description="Of a GPU-hour, in the site's currency; absent: no prices are shown."
    )
