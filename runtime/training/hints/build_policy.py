"""The spec's policy of hints, for the clips and the tokenizer of a stage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from transformers import TrainerCallback

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.hint import OfflineList
from c2f_spec.spec.sections import Direct
from c2f_spec.store.open import open_store
from runtime.text.chains import AnyFormat, hint, parse, spoken, target
from runtime.text.clips import POLARITIES, polarity_of
from runtime.training.hints.answer_facts import Facts
from runtime.training.hints.policy import Policy, most
from runtime.training.hints.triggers import judges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.hint import Hint
    from runtime.models.rows import Reader


class Given(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Ends a training at its start that is named after hints and would have none."""

    def __init__(self, spec: Hint) -> None:
        self._spec = spec

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raises `InvalidStageSpec`."""
        del args, control
        assert_given(self._spec, state.max_steps)


def assert_given(spec: Hint, steps: int) -> None:
    """Raises `InvalidStageSpec` if hints stop before they begin; where epochs are asked for, that is known only here."""
    if spec.hard_policy == "hint" and spec.warmup_steps >= spec.stop_after * steps:
        raise InvalidStageSpec(
            f"no hint would ever be given: training has {steps} steps, and hints begin after step {spec.warmup_steps}",
            hint="lower `grpo.hint.warmup_steps`, or raise `grpo.epochs` or `grpo.hint.stop_after`",
        )


BODIES = ("1.", "The", "-", "\u4e00", "\u300a")
"""How chains may begin, in either language: what follows a hint must not change its tokens."""


def policy_of(
    grpo: Grpo, fmt: AnyFormat, reader: Reader, tokenizer: Any, seed: int, listed: frozenset[str]
) -> Policy:
    """Raises `InvalidStageSpec` if a hint could not be followed by an answer in this student's tokens, and `InvalidData` for a
    list of other clips.
    """
    if isinstance(fmt, Direct):
        raise InvalidStageSpec(
            "`grpo` needs answers with a polarity; `format: direct` has none",
            hint="use the format c2f or dc, or leave out `grpo`",
        )
    if grpo.hint.hard_policy != "keep" and not judges(grpo.hint.trigger):
        raise InvalidStageSpec(
            "`grpo.hint.trigger.threshold` was not resolved to a number before this stage was keyed"
        )
    if listed and grpo.hint.hard_policy != "keep" and not listed & set(reader.ids("train")):
        raise InvalidData(
            f"none of the {len(listed)} hard samples, such as `{min(listed)}`, is a clip of the training split",
            hint="a list has one clip id a line, as `manifest.jsonl` of the prepared data set has them",
        )
    most(grpo.hint, grpo.batch)
    fmt = spoken(fmt, reader.language)
    prefixes = {polarity: hint(fmt, polarity, grpo.hint.prefix_end) for polarity in POLARITIES}
    for polarity, prefix in prefixes.items():
        for body in BODIES:
            answer = target(fmt, polarity, body, reader.low)
            assert_token_prefix(tokenizer, prefix, answer.removeprefix(prefix))

    def facts(clip_id: str, text: str) -> Facts:
        answer, clip = parse(fmt, text), reader.clips[clip_id]
        agrees = math.nan
        if answer.polarity is not None and answer.score is not None:
            agrees = float(polarity_of(answer.score, reader.family, reader.high) == answer.polarity)
        return Facts(float(answer.well_formed), float(answer.polarity == clip.polarity), agrees)

    return Policy(
        spec=grpo.hint,
        hint=lambda clip_id: prefixes[reader.clips[clip_id].polarity],
        facts=facts,
        polarity=lambda clip_id: reader.clips[clip_id].polarity,
        seed=seed,
        listed=listed,
    )


def longest_hint(policy: Policy, clips: Iterable[str], tokenizer: Any) -> int:
    """In tokens: an engine leaves room for it beside the longest prompt and the longest answer."""
    if policy.spec.hard_policy != "hint":
        return 0
    hints = {policy.hint(clip) for clip in clips}
    return max(len(tokenizer.encode(hint, add_special_tokens=False)) for hint in hints)


def listed(trigger: Any, uri: str | None) -> frozenset[str]:
    """Ids of an offline list; of another trigger, none. Raises `InvalidData` if the file at `uri` is not that list."""
    if not isinstance(trigger, OfflineList):
        return frozenset()
    if uri is None:
        raise InvalidStageSpec("`grpo.hint.trigger` is a list of hard samples, and nobody said where it lies")
    folder, _, name = uri.rpartition("/")
    data = open_store(folder or ".").read(name)
    if data is None:
        raise InvalidData(
            f"the list of hard samples `{uri}` does not exist", hint="see `grpo.hint.trigger.uri`"
        )
    found = blake3(data).hexdigest()
    if found != trigger.digest:
        raise InvalidData(
            f"the list of hard samples `{uri}` has the digest {found}, and the spec says {trigger.digest}",
            hint="bring the list back, or write its digest into `grpo.hint.trigger.digest`",
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidData(f"the list of hard samples `{uri}` is no text: {error}") from error
    return frozenset(line.strip() for line in lines if line.strip())


def assert_token_prefix(tokenizer: Any, hint: str, rest: str) -> None:
    """The tokens of `hint` must not depend on what follows. Raises `InvalidStageSpec` if they do.

    Otherwise a hint would end in a token that no fine-tuned answer has at that place (METHOD 1.8).
    """
    alone = tokenizer.encode(hint, add_special_tokens=False)
    whole = tokenizer.encode(hint + rest, add_special_tokens=False)
    if whole[: len(alone)] != alone:
        raise InvalidStageSpec(
            f"the hint {hint!r} is not a token prefix of an answer under this student's tokenizer",
            hint="choose the other value of `grpo.hint.prefix_end`",
        )
