"""What a teacher is asked of a clip, how its answer is taken, and when it is asked again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.sections import Direct
from runtime.filters import FILTERS
from runtime.teachers.base import Question
from runtime.text.chains import SPOKEN, number, parse, prompt, tags
from runtime.text.prompts import TOLD, UNTOLD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.filters import Filters
    from runtime.text.chains import AnyFormat
    from runtime.text.clips import Clip


@dataclass(frozen=True, slots=True)
class Asking:
    """Of one stage."""

    folder: Path
    """The prepared data set."""
    format: AnyFormat
    facts: Mapping[str, Any]
    """The data set's, with the prompt's language."""
    filters: Mapping[str, Any]
    """Those with `on_fail: retry`, by name, in the order in which filters run."""
    samples: int = 1
    retry: int = 0
    visibility: str = "blind"
    thinking: str = "refuse"

    def questions(self, clip: Clip) -> list[Question]:
        """One for each sample."""
        asked, path = self.prompt(clip), self.folder / clip.media
        return [
            Question(clip.id, sample, clip.text, asked, path, clip.duration_s, clip.lacks)
            for sample in range(self.samples)
        ]

    def prompt(self, clip: Clip) -> str:
        """The text of the user's turn."""
        language, low, high = (self.facts[name] for name in ("language", "low", "high"))
        asked = prompt(self.format, language=language, text=clip.text, low=low, high=high)
        if self.visibility == "blind":
            return asked
        assert not isinstance(self.format, Direct), "nobody is asked for chains that nothing is trained on"
        said = SPOKEN[self.format.polarity_words][clip.polarity]
        told = TOLD[language, self.visibility].format(
            polarity=said, score=number(clip.label, self.format.label_decimals)
        )
        return f"{asked}\n\n{told}{UNTOLD[language]}"

    def answer(self, text: str) -> str:
        """A reply without the block of thinking that its model opened by itself.

        Raises `InvalidStageSpec` for such a block where the spec refuses it: every chain would be lost to it.
        """
        bare = answer_of(text, self.format)
        if self.thinking == "strip":
            return bare
        if bare != text and parse(self.format, bare).well_formed:
            raise InvalidStageSpec(
                "the teacher opens a block of thinking before its answer, and the spec refuses that",
                hint="name an Instruct variant, or set `teacher.native_thinking: strip`",
            )
        return text

    def acceptable(self, clip: Clip, text: str) -> bool:
        """Whether it can be read and passes every filter that would have it asked again."""
        answer = parse(self.format, self.answer(text))
        return answer.well_formed and all(
            FILTERS[name](answer, clip, self.facts, settings) is None
            for name, settings in self.filters.items()
        )


def retried(filters: Filters) -> dict[str, Any]:
    """The filters with `on_fail: retry`, in their order; `format` needs no mention, as it is always asked again for."""
    return {
        name: settings
        for name in FILTERS
        if name != "format" and (settings := getattr(filters, name)) and settings.on_fail == "retry"
    }


# The block of thinking that some models open by themselves, before the answer and its own `<think>` (METHOD 3).
#
#     <think>The user wants … </think> <polarity>Negative</polarity> <think> 1. … </think> <score>-1.0</score>
#
# Chat templates of Thinking variants write the first `<think>` into the prompt, so that replies begin inside the block.


CLOSE = "</think>"


def answer_of(text: str, fmt: AnyFormat) -> str:
    """`text` from behind the model's own block, if it begins with one; a block that never ends leaves nothing.

    A block may speak of the format, and so of `</think>`: it ends at the last one that the answer follows.
    """
    bare = text.lstrip()
    if isinstance(fmt, Direct):
        _, closed, rest = bare.rpartition(CLOSE)
        return rest.lstrip() if closed else "" if bare.startswith("<think>") else text
    opening = f"<{tags(fmt).polarity}>"
    if bare.startswith(opening):
        return text
    *before, rest = re.split(rf"{CLOSE}\s*(?={opening})", bare)
    if before:
        return rest
    _, closed, rest = bare.partition(CLOSE)
    if closed:
        return rest.lstrip()
    return "" if bare.startswith("<think>") else text
