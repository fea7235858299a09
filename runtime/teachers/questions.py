"""The questions of a teacher: its protocol, its prompts, how its answers are read, and which are sent again.

A teacher gets a clip's words and media, and of its label what `teacher.label_visibility` says, by default nothing
(METHOD 3: the paper compares with the labels afterwards, in the filters).

Some models open a block of thinking by themselves, before the answer and its own `<think>` (METHOD 3):

    <think>The user wants … </think> <polarity>Negative</polarity> <think> 1. … </think> <score>-1.0</score>

Chat templates of Thinking variants write the first `<think>` into the prompt, so that replies begin inside the block.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.sections import Direct
from runtime.filters import FILTERS
from runtime.filters.outcome import Chain
from runtime.text.chains import POLARITY_WORDS, build_prompt, format_score, parse_answer, tag_names
from runtime.text.prompts import DISCLOSURE_RULE, LABEL_DISCLOSURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from c2f_spec.spec.filters import Filters
    from c2f_spec.spec.handoff import Endpoint
    from c2f_spec.spec.sections import Media
    from runtime.endpoints.replies import Reply, RequestFailed
    from runtime.text.chains import AnyFormat
    from runtime.text.clips import Clip


@dataclass(frozen=True, slots=True)
class Task:
    """The settings that are the same for every clip."""

    format: AnyFormat
    media: Media
    language: str
    low: float
    high: float
    family: str
    rendered: bool
    """True for clips that `runtime/media/speaker.py` draws."""
    endpoint: Endpoint | None = None
    shards: int = 1
    """Number of pods that share the clips."""
    spent: float = 0.0
    """Cost of earlier attempts of this pod's share."""
    weights: Path | None = None
    """The staged folder of the teacher's weights."""

    def find_weights(self, model: str) -> Path:
        """Return the folder of the weights. Raises `InvalidStageSpec` without them."""
        if self.weights is None:
            raise InvalidStageSpec(
                f"the weights of `{model}` are missing in this stage",
                hint=f"run `c2f-spec model add {model}`",
            )
        return self.weights


@dataclass(frozen=True, slots=True)
class Question:
    """A request for one chain of a clip."""

    id: str
    sample: int
    """Number of the chain among those of its clip, from 0."""
    text: str
    """The words of the clip."""
    prompt: str
    """The text of the user's turn, which holds the words."""
    media: Path
    duration_s: float
    lacks: tuple[str, ...] = ()
    """Missing media, of "video" and "audio"; the prompt says so."""
    seed: int = 0


class Teacher(ABC):
    """Writes answers."""

    batch: int
    """Questions a call of `write`."""
    concurrency: int
    """Threads that may call `write`; 0 for a teacher that computes without waiting or cost, for which processes share the clips."""

    @abstractmethod
    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        """Return an answer to each question, with the teacher's own polarity and score, or the failure."""

    def give_up(self) -> None:  # noqa: B027  most have no retries
        """Stop retries because the stage is ending. Requests in flight may still be answered."""

    def close(self) -> None:  # noqa: B027  most have no resources
        """Release resources."""


@dataclass(frozen=True, slots=True)
class TeacherPrompts:
    """The prompts of one stage, and the rules for their answers."""

    folder: Path
    """The prepared data set."""
    format: AnyFormat
    facts: Mapping[str, Any]
    """Facts of the data set, with the prompt's language."""
    filters: Mapping[str, Any]
    """Filters with `on_fail: retry`, by name, in the order in which filters run."""
    samples: int = 1
    retry: int = 0
    label_visibility: str = "blind"
    native_thinking: str = "refuse"

    def questions(self, clip: Clip) -> list[Question]:
        """Return the questions on a clip, one for each sample."""
        prompt, path = self.prompt(clip), self.folder / clip.media
        return [
            Question(clip.id, sample, clip.text, prompt, path, clip.duration_s, clip.lacks)
            for sample in range(self.samples)
        ]

    def prompt(self, clip: Clip) -> str:
        """Return the text of the user's turn."""
        language, low, high = (self.facts[name] for name in ("language", "low", "high"))
        text = build_prompt(self.format, language=language, text=clip.text, low=low, high=high)
        if self.label_visibility == "blind":
            return text
        assert not isinstance(self.format, Direct), "a direct answer has no chain to distil"
        word = POLARITY_WORDS[self.format.polarity_words][clip.polarity]
        disclosure = LABEL_DISCLOSURE[language, self.label_visibility].format(
            polarity=word, score=format_score(clip.label, self.format.label_decimals)
        )
        return f"{text}\n\n{disclosure}{DISCLOSURE_RULE[language]}"

    def answer(self, text: str) -> str:
        """Return a reply without the block of thinking that the model opened by itself.

        Raises `InvalidStageSpec` for such a block where the spec refuses it: every chain would be lost to it.
        """
        bare = strip_thinking(text, self.format)
        if self.native_thinking == "strip":
            return bare
        if bare != text and parse_answer(self.format, bare).well_formed:
            raise InvalidStageSpec(
                "the teacher opens a block of thinking before its answer, which `native_thinking: refuse` does not allow",
                hint="use an Instruct variant, or set `teacher.native_thinking: strip`",
            )
        return text

    def acceptable(self, clip: Clip, text: str) -> bool:
        """Return whether an answer is well-formed and passes every filter with `on_fail: retry`."""
        answer = parse_answer(self.format, self.answer(text))
        return answer.well_formed and all(
            FILTERS[name](Chain(answer, clip, self.facts), settings) is None
            for name, settings in self.filters.items()
        )


def retry_filters(filters: Filters) -> dict[str, Any]:
    """Return the filters with `on_fail: retry`, in their order, without `format`, which always retries."""
    return {
        name: settings
        for name in FILTERS
        if name != "format" and (settings := getattr(filters, name)) and settings.on_fail == "retry"
    }


CLOSE = "</think>"


def strip_thinking(text: str, fmt: AnyFormat) -> str:
    """Return `text` without the model's own block at its start; a block without an end leaves nothing.

    A block may mention the format, and so `</think>`: it ends at the last one that the answer follows.
    """
    bare = text.lstrip()
    if isinstance(fmt, Direct):
        _, closed, rest = bare.rpartition(CLOSE)
        return rest.lstrip() if closed else "" if bare.startswith("<think>") else text
    opening = f"<{tag_names(fmt).polarity}>"
    if bare.startswith(opening):
        return text
    *before, rest = re.split(rf"{CLOSE}\s*(?={opening})", bare)
    if before:
        return rest
    _, closed, rest = bare.partition(CLOSE)
    if closed:
        return rest.lstrip()
    return "" if bare.startswith("<think>") else text
