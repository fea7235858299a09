"""The model that writes chains of thought (METHOD 3; paper: "Qwen3-Omni-30B"). Each kind lists all that it takes.

The kinds repeat each other word for word where they agree, as the trainers do: a kind reads from top to bottom.
"""

import json
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import (
    ENDPOINT_PATTERN,
    PLACEMENT,
    Fraction,
    Name,
    Named,
    Revision,
    SpecModel,
    at_default,
)
from c2f_spec.spec.endpoint import Client

Visibility = Literal["blind", "polarity", "full"]
Thinking = Literal["refuse", "strip"]
Temperature = Annotated[float, Field(ge=0)]
TopP = Annotated[float, Field(gt=0, le=1)]
Retries = Annotated[int, Field(ge=0, le=10)]

SAMPLES = "Chains asked for each clip; the first that passes the filters is kept. Not in the paper."
TEMPERATURE = "Sampling temperature. Not in the paper."
LONGEST = "Longest reply, in tokens. Not in the paper."
VISIBILITY = (
    "What the teacher is told of the label: nothing (paper: outputs are compared with it afterwards), its polarity, "
    "or all of it."
)
THINKING = (
    "A teacher of a Thinking variant opens `<think>` by itself, which collides with the tag: `refuse` the pair, or "
    "`strip` its own block first. Not in the paper."
)
RETRY = "Times a clip is asked again whose chain cannot be read, or failed a filter with `on_fail: retry`. Not in the paper."
CLIENT = "How fast and for how much it is asked."


class OwnWeights(SpecModel):
    """A teacher whose weights are staged and run by us, by either engine."""

    kind: str
    model: str = Field(
        description="Repository of the weights (paper: Qwen3-Omni-30B; which variant is not said).",
        json_schema_extra={"examples": ["Qwen/Qwen3-Omni-30B-A3B-Instruct"]},
    )
    revision: Revision = Field(description="Full commit hash of the weights.")
    samples: PositiveInt = Field(default=1, description=SAMPLES)
    temperature: Temperature = Field(default=0.7, description=TEMPERATURE)
    top_p: TopP = Field(default=0.95, description="Nucleus. Not in the paper.")
    max_new_tokens: PositiveInt = Field(default=768, description=LONGEST)
    label_visibility: Visibility = Field(default="blind", description=VISIBILITY)
    native_thinking: Thinking = Field(default="refuse", description=THINKING)
    retry: Retries = Field(default=2, description=RETRY)
    seed: NonNegativeInt = Field(default=42, description="Seed of the teacher's sampling. Not in the paper.")


class TransformersTeacher(OwnWeights):
    """An omni model run by transformers inside the stage."""

    kind: Literal["transformers"] = "transformers"


class VllmTeacher(OwnWeights):
    """An omni model served by vLLM beside the stage: several times faster, on one or several GPUs."""

    kind: Literal["vllm"] = "vllm"
    tensor_parallel: PositiveInt = Field(
        default=2, description="GPUs that share each layer.", json_schema_extra=PLACEMENT
    )
    memory: Fraction = Field(
        default=0.9, description="Share of a GPU's memory that vLLM takes.", json_schema_extra=PLACEMENT
    )
    client: Client = Field(default=at_default(Client), description=CLIENT, json_schema_extra=PLACEMENT)


class OpenaiTeacher(SpecModel):
    """A model behind an endpoint that speaks the OpenAI protocol. What it runs is its owner's word, so name a dated model."""

    kind: Literal["openai"] = "openai"
    model: str = Field(description="Name of the model, as the endpoint calls it.")
    endpoint: Annotated[str, Field(pattern=ENDPOINT_PATTERN)] = Field(
        description="URL of the endpoint, up to and with `/v1`; no user or password in it.",
        json_schema_extra={**PLACEMENT, "examples": ["https://teacher.example.org/v1"]},
    )
    secret: Name | None = Field(
        default=None,
        description="Name of the environment's secret with the key; never the key itself. On `local` the secret "
        "`my-key` is the variable C2F_SECRET_MY_KEY, or the file that C2F_SECRET_MY_KEY_FILE names.",
        json_schema_extra=PLACEMENT,
    )
    client: Client = Field(default=at_default(Client), description=CLIENT, json_schema_extra=PLACEMENT)
    video: Literal["mp4", "frames"] = Field(
        default="mp4",
        description="How a clip's frames are sent: as an `mp4` (vLLM), or as pictures (transformers serve, and whatever "
        "else takes no video). Not in the paper.",
    )
    samples: PositiveInt = Field(default=1, description=SAMPLES)
    temperature: Temperature = Field(default=0.7, description=TEMPERATURE)
    top_p: TopP = Field(default=0.95, description="Nucleus. Not in the paper.")
    max_new_tokens: PositiveInt = Field(default=768, description=LONGEST)
    label_visibility: Visibility = Field(default="blind", description=VISIBILITY)
    native_thinking: Thinking = Field(default="refuse", description=THINKING)
    retry: Retries = Field(default=2, description=RETRY)
    seed: NonNegativeInt = Field(default=42, description="Seed of the teacher's sampling. Not in the paper.")


class LexiconTeacher(SpecModel):
    """Demo only: VADER on the words, pitch and energy of the voice, the mouth of the face. It never sees the label."""

    kind: Literal["lexicon"] = "lexicon"


ModelTeacher = TransformersTeacher | VllmTeacher | OpenaiTeacher
"""The teachers that are language models."""

Teacher = Annotated[
    TransformersTeacher | VllmTeacher | OpenaiTeacher | LexiconTeacher,
    Field(discriminator="kind"),
    Named("transformers"),
]


# The command line of `vllm serve`, for whoever starts one: a sidecar of a pod, or a stage on this machine.
#
# Options as https://docs.vllm.ai/en/stable/cli/serve/ has them. Not measured: vLLM does not install where this was written.


HOST = "127.0.0.1"
"""It listens to its own pod or machine only."""
PARTS = {"video": 1, "audio": 1}
"""Most of a message; room for more would be kept free."""
ALL_FRAMES = {"video": {"num_frames": -1}}
"""vLLM takes every frame: those of a request were chosen by `media.fps` and `media.max_frames` already."""


def command(weights: str, name: str, *, port: int, tensor_parallel: int, memory: float) -> list[str]:
    """Return the command that serves the folder `weights` under the model's `name`."""
    options = {
        "served-model-name": name,
        "tensor-parallel-size": str(tensor_parallel),
        "gpu-memory-utilization": f"{memory:g}",
        "limit-mm-per-prompt": json.dumps(PARTS),
        "media-io-kwargs": json.dumps(ALL_FRAMES),
        "host": HOST,
        "port": str(port),
    }
    return ["vllm", "serve", weights, *(w for name, value in options.items() for w in (f"--{name}", value))]
