"""Rules on data sets of one's own, and on what of a clip the student sees (METHOD 2.7, 8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.own_data import off_centre

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment


def own_data_sets_are_others(e: Experiment) -> Iterator[Problem]:
    names: list[str] = []
    for i, one in enumerate(e.data.own):
        found = []
        if one.name in DATASETS:
            found.append(("name", f"`{one.name}` is a data set that is known by name", "give yours another"))
        if one.name in names:
            found.append(("name", f"a second data set `{one.name}`", "give it another name"))
        if one.low >= one.high:
            hint = "`low` is the least label, `high` the greatest"
            found.append(("low", f"labels go from {one.low:g} to {one.high:g}", hint))
        elif one.low != -one.high:
            found.append(("low", *off_centre(one.low, one.high)))
        names.append(one.name)
        for field, message, hint in found:
            yield Problem("C2F382", ("data", "own", i, field), message, hint)


def frames_can_have_a_size(e: Experiment) -> Iterator[Problem]:
    least, most = e.media.min_pixels, e.media.max_pixels
    if least is not None and least > most:
        message = f"a frame of at least {least} pixels, and of at most {most}"
        yield Problem("C2F380", ("media", "min_pixels"), message, "lower it, or raise `max_pixels`")


def interleaved_sound_is_generated_from(e: Experiment) -> Iterator[Problem]:
    if e.media.audio != "in_video":
        return
    for name, section in (("grpo", e.grpo), ("evaluate", e.evaluate)):
        if section is not None and isinstance(section.engine, VllmEngine):
            message = (
                f"`{name}.engine: vllm` takes sound as an item of its own, and `media.audio` interleaves it"
            )
            yield Problem(
                "C2F381", ("media", "audio"), message, "set `audio: item`, or `engine: transformers`"
            )
            return


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    own_data_sets_are_others,
    frames_can_have_a_size,
    interleaved_sound_is_generated_from,
)
