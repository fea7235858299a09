"""Build the policy of hints of a spec for the clips and the tokenizer of a stage, before the first step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from transformers import TrainerCallback

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.hint import OfflineList
from c2f_spec.spec.sections import Direct
from c2f_spec.store.open import open_store
from runtime.text.chains import AnyFormat, canonical_answer, hint_prefix, parse_answer, resolve_language
from runtime.text.clips import polarity_of
from runtime.training.hints.answer_metrics import AnswerFacts
from runtime.training.hints.schedule import HintPolicy, max_hinted_groups
from runtime.training.hints.triggers import is_decidable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.hint import Hint
    from runtime.models.rows import Reader


class HintsPossibleCheck(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Ends a training with a policy of hints at its start if hints stop before they begin.

    With `epochs`, the number of steps is known only then.
    """

    def __init__(self, spec: Hint) -> None:
        self._spec = spec

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raise `InvalidStageSpec` if no step could hint."""
        del args, control
        spec, steps = self._spec, state.max_steps
        if spec.hard_policy == "hint" and spec.warmup_steps >= spec.stop_after * steps:
            raise InvalidStageSpec(
                f"no step would have a hint: training has {steps} steps, and hints begin after step {spec.warmup_steps}",
                hint="lower `grpo.hint.warmup_steps`, or raise `grpo.epochs` or `grpo.hint.stop_after`",
            )


BODIES = ("1.", "The", "-", "\u4e00", "\u300a")
"""Beginnings of chains in either language, to check that what follows a hint does not change its tokens."""


def build_policy(
    grpo: Grpo, fmt: AnyFormat, reader: Reader, tokenizer: Any, seed: int, listed: frozenset[str]
) -> HintPolicy:
    """Return the policy of `grpo.hint`.

    Raises `InvalidStageSpec` if a hint is no token prefix of an answer for this tokenizer, and `InvalidData` for a list of
    hard samples without any training clip.
    """
    if isinstance(fmt, Direct):
        raise InvalidStageSpec(
            "`grpo` needs answers with a polarity; `format: direct` has none",
            hint="use the format c2f or dc, or leave out `grpo`",
        )
    if grpo.hint.hard_policy != "keep" and not is_decidable(grpo.hint.trigger):
        raise InvalidStageSpec(
            "`grpo.hint.trigger.threshold` was not resolved to a number before this stage was keyed"
        )
    if listed and grpo.hint.hard_policy != "keep" and not listed & set(reader.ids("train")):
        raise InvalidData(
            f"none of the {len(listed)} hard samples, such as `{min(listed)}`, is a clip of the training split",
            hint="a list has one clip id a line, as `manifest.jsonl` of the prepared data set has them",
        )
    max_hinted_groups(grpo.hint, grpo.batch)
    fmt = resolve_language(fmt, reader.language)
    prefixes = {polarity: hint_prefix(fmt, polarity, grpo.hint.prefix_end) for polarity in POLARITIES}
    for polarity, prefix in prefixes.items():
        for body in BODIES:
            answer = canonical_answer(fmt, polarity, body, reader.low)
            assert_token_prefix(tokenizer, prefix, answer.removeprefix(prefix))

    def facts(clip_id: str, text: str) -> AnswerFacts:
        answer, clip = parse_answer(fmt, text), reader.clips[clip_id]
        agrees = math.nan
        if answer.polarity is not None and answer.score is not None:
            agrees = float(polarity_of(answer.score, reader.family, reader.high) == answer.polarity)
        return AnswerFacts(float(answer.well_formed), float(answer.polarity == clip.polarity), agrees)

    return HintPolicy(
        spec=grpo.hint,
        hint=lambda clip_id: prefixes[reader.clips[clip_id].polarity],
        facts=facts,
        polarity=lambda clip_id: reader.clips[clip_id].polarity,
        seed=seed,
        listed=listed,
    )


def longest_hint_tokens(policy: HintPolicy, clips: Iterable[str], tokenizer: Any) -> int:
    """Return the length of the longest hint in tokens: an engine reserves room for it beside prompt and answer."""
    if policy.spec.hard_policy != "hint":
        return 0
    hints = {policy.hint(clip) for clip in clips}
    return max(len(tokenizer.encode(hint, add_special_tokens=False)) for hint in hints)


def load_offline_list(trigger: Any, uri: str | None) -> frozenset[str]:
    """Return the ids of an offline list, none for other triggers. Raises `InvalidData` if `uri` is not that list."""
    if not isinstance(trigger, OfflineList):
        return frozenset()
    if uri is None:
        raise InvalidStageSpec("`grpo.hint.trigger` is a list of hard samples, and its location is missing")
    folder, _, name = uri.rpartition("/")
    data = open_store(folder or ".").read(name)
    if data is None:
        raise InvalidData(
            f"the list of hard samples `{uri}` is not found", hint="check `grpo.hint.trigger.uri`"
        )
    digest = blake3(data).hexdigest()
    if digest != trigger.digest:
        raise InvalidData(
            f"the list of hard samples `{uri}` has the digest {digest}, expected {trigger.digest}",
            hint="restore the list, or set `grpo.hint.trigger.digest` to its digest",
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidData(f"the list of hard samples `{uri}` is not UTF-8 text: {error}") from error
    return frozenset(line.strip() for line in lines if line.strip())


def assert_token_prefix(tokenizer: Any, hint: str, rest: str) -> None:
    """Raise `InvalidStageSpec` if the tokens of `hint` depend on what follows.

    Otherwise a hint would end in a token that no fine-tuned answer has at that place (METHOD 1.8).
    """
    alone = tokenizer.encode(hint, add_special_tokens=False)
    whole = tokenizer.encode(hint + rest, add_special_tokens=False)
    if whole[: len(alone)] != alone:
        raise InvalidStageSpec(
            f"the hint {hint!r} is not a token prefix of an answer under this student's tokenizer",
            hint="choose the other value of `grpo.hint.prefix_end`",
        )
