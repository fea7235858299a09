"""Rules on the hint policy (METHOD 1.8, 6.3, 6.4). Each refuses a policy that would run and teach nothing, or the wrong thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.spec.hint import (
    AllBelow,
    Always,
    Append,
    FixedLevel,
    Hint,
    MaskLoss,
    OfflineList,
    PassRate,
    PolarityContent,
    ReplaceAll,
    ReplaceK,
    TextContent,
    TracePrefixContent,
    ZeroVariance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.grpo import Grpo

AT = ("grpo", "hint")


def threshold_separates_wrong_from_right(e: Experiment) -> Iterator[Problem]:
    """METHOD 1.8: in (l1, l1 + l2] a well-formed wrong group fires and a right answer does not."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep" or not isinstance(e.grpo.hint.trigger, AllBelow):
        return
    rewards, trigger = e.grpo.rewards, e.grpo.hint.trigger
    threshold, loc = trigger.threshold, (*AT, "trigger", "threshold")
    if trigger.metric != "total":
        if threshold is None:
            message = f"`auto` is a total reward, and `{trigger.metric}` goes from 0 to 1"
            yield Problem("C2F328", (*AT, "trigger", "metric"), message, "give a number, for example 0.5")
        else:
            yield from _beyond(f"`{trigger.metric}`", threshold, 1.0)
        return
    most = sum(r.weight for r in (rewards.format, rewards.polarity, rewards.score) if r is not None)
    if rewards.format is None or rewards.polarity is None:
        if threshold is None:
            message = "`auto` is the weights of format and polarity together, and one of them is not rewarded"
            hint = "name both rewards, give a number, or set `hard_policy: keep`"
            yield Problem("C2F314", AT, message, hint, at_key=True)
        else:
            yield from _beyond("the total", threshold, most)
        return
    low, high = rewards.format.weight, rewards.format.weight + rewards.polarity.weight
    gated = rewards.score is None or rewards.score.gate in ("tag", "tag_and_sign")
    if rewards.polarity.weight == 0:
        if threshold is None or gated:
            message = "the polarity reward needs a weight: without one no threshold tells wrong groups from right ones"
            hint = "give it a weight above 0, or set `hard_policy: keep`"
            yield Problem("C2F316", ("grpo", "rewards", "polarity", "weight"), message, hint)
    elif threshold is not None and gated and not low < threshold <= high:
        why = (
            "below it no wrong group is hard"
            if threshold <= low
            else "above it a right answer with a poor score is hard"
        )
        message = f"a threshold of {threshold:g} lies outside ({low:g}, {high:g}]: {why}"
        yield Problem("C2F315", loc, message, "use `auto`")
    elif threshold is not None and not gated:
        yield from _beyond("the total", threshold, most)


def _beyond(what: str, threshold: float, most: float) -> Iterator[Problem]:
    """A threshold on something that goes from 0 to `most`, and by which all groups are alike."""
    if not 0 < threshold <= most:
        message = f"{what} goes from 0 to {most:g}: with a threshold of {threshold:g} "
        message += "no group is hard" if threshold <= 0 else "every group is hard"
        yield Problem("C2F329", (*AT, "trigger", "threshold"), message, f"a number in (0, {most:g}]")


def a_trigger_tells_groups_apart(e: Experiment) -> Iterator[Problem]:
    """Whatever becomes of hard samples, some must be hard and some not; only hints may be given to all."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    trigger, dropped = e.grpo.hint.trigger, e.grpo.hint.hard_policy == "drop"
    at: tuple[str, ...] = (*AT, "trigger")
    if isinstance(trigger, Always) and dropped:
        message, hint = "every group is hard and dropped: nothing is trained", "use another trigger"
    elif isinstance(trigger, PassRate) and trigger.max_rate >= 1:
        message, at = "every group is hard, those that are all right too", (*at, "max_rate")
        hint = "lower it below 1" + ("" if dropped else ", or say it with `trigger: always`")
    elif (
        isinstance(trigger, ZeroVariance)
        and trigger.only_if_mean_below is not None
        and trigger.only_if_mean_below <= 0
    ):
        message, at = "no mean reward is below 0, so that no group is hard", (*at, "only_if_mean_below")
        hint = "raise it above 0"
    else:
        return
    yield Problem("C2F352", at, message, hint)


def hinted_answers_earn_something(e: Experiment, h: Hint) -> Iterator[Problem]:
    if e.grpo is None or h.polarity_reward_on_hinted == "keep":
        return
    rewards = e.grpo.rewards
    if not any(r is not None and r.weight > 0 for r in (rewards.format, rewards.score)):
        message = (
            "polarity is the only reward, and hinted answers do not earn it: none of them is learned from"
        )
        hint = "reward `format` or `score` too, or write `polarity_reward_on_hinted: keep`"
        yield Problem("C2F353", (*AT, "polarity_reward_on_hinted"), message, hint)


def only_bad_groups_are_hard(e: Experiment, h: Hint) -> Iterator[Problem]:
    del e
    if isinstance(h.trigger, ZeroVariance) and h.trigger.only_if_mean_below is None:
        message = "groups whose answers are all right have no variance either, and would be hinted"
        yield Problem("C2F325", (*AT, "trigger"), message, "set `only_if_mean_below`", at_key=True)


def tells_the_polarity(h: Hint) -> bool:
    """Of the kinds of content, free text alone may speak of something else."""
    return not isinstance(h.content, TextContent)


def a_batch_is_fair(e: Experiment, h: Hint) -> Iterator[Problem]:
    """METHOD 6.3: a constant drops out of a hinted group, and not out of a batch where other groups lack it."""
    if e.grpo is None or e.grpo.scale != "batch" or not isinstance(h.group, ReplaceAll):
        return
    all_hinted = isinstance(h.trigger, Always) and h.dropout == 0 and h.max_hinted_fraction == 1
    if tells_the_polarity(h) and h.polarity_reward_on_hinted == "keep" and not all_hinted:
        message = "the batch's deviation mixes groups: hinted ones have the polarity reward for free"
        hint = "set `polarity_reward_on_hinted: exclude`, or `scale: group`"
        yield Problem("C2F330", ("grpo", "scale"), message, hint, severity="warning")


def alone(e: Experiment, h: Hint) -> str | None:
    """The answer of a mixed group that would be the only one of its kind."""
    if e.grpo is None or isinstance(h.group, ReplaceAll):
        return None
    if h.group.k == 1:
        return "one hinted answer"
    return "one answer without a hint" if _own(e.grpo, h.group) == 1 else None


def _own(grpo: Grpo, group: ReplaceK | Append) -> int:
    """Answers of a mixed group that have no hint."""
    return grpo.generations - group.k if isinstance(group, ReplaceK) else grpo.generations


def a_mixed_group_is_fair(e: Experiment, h: Hint) -> Iterator[Problem]:
    """METHOD 6.3: in one normalisation every hinted answer would beat every other by the polarity's weight, for free."""
    if e.grpo is None or isinstance(h.group, ReplaceAll):
        return
    at, single, generations = (*AT, "group"), alone(e, h), e.grpo.generations
    free = tells_the_polarity(h) and h.polarity_reward_on_hinted == "keep"
    if h.normalise == "joint" and free:
        message = "normalised together, hinted answers beat the others by a polarity that they were given"
        hint = "set `polarity_reward_on_hinted: exclude`" + ("" if single else ", or `normalise: separate`")
        yield Problem("C2F331", at, message, hint, at_key=True)
    if h.normalise == "separate" and single:
        message = f"{single}, normalised by itself, always has the advantage 0"
        joint = "`normalise: joint`" + (" with `polarity_reward_on_hinted: exclude`" if free else "")
        yield Problem("C2F332", (*at, "k"), message, f"use {_enough(generations, h.group)}, or {joint}")
    if _own(e.grpo, h.group) <= 0:
        message = f"{h.group.k} of {generations} answers replaced leaves none"
        hint = f"use at most {generations - 1}, or `group: replace_all`"
        yield Problem("C2F333", (*at, "k"), message, hint)
    if isinstance(h.group, Append) and h.group.k > generations:
        message = f"{h.group.k} hinted answers join {generations}: most of the group was given its polarity"
        yield Problem("C2F334", (*at, "k"), message, f"use at most {generations}", severity="warning")


def _enough(generations: int, group: ReplaceK | Append) -> str:
    """How many hinted answers leave nobody alone."""
    if isinstance(group, Append):
        return "2 or more"
    if generations < 4:
        return "2, and 4 or more `generations`"
    return "2" if generations == 4 else f"2 to {generations - 2}"


def levels_need_something_to_divide(e: Experiment, h: Hint) -> Iterator[Problem]:
    del e
    whole = isinstance(h.level, FixedLevel) and h.level.level == 1
    if isinstance(h.content, PolarityContent) and not whole:
        message = "a polarity is given whole or not at all, so there is nothing that a level could vary"
        hint = "remove `level`, or set `content` to trace_prefix, polarity_bin or text"
        yield Problem("C2F335", (*AT, "level"), message, hint, at_key=True)


def hints_stand_where_they_can(e: Experiment, h: Hint) -> Iterator[Problem]:
    in_answer = h.placement == "in_answer"
    if not in_answer and not isinstance(h.forced_loss, MaskLoss):
        message = "a hint in the prompt forces no tokens of the answer that could have a loss"
        yield Problem(
            "C2F336", (*AT, "forced_loss"), message, "remove it, or use `placement: in_answer`", at_key=True
        )
    if in_answer and isinstance(h.content, TextContent):
        message = (
            "free text at the start of an answer breaks its format: no answer would earn the format reward"
        )
        yield Problem("C2F337", (*AT, "content"), message, "use `placement: in_prompt`", at_key=True)
    if isinstance(h.content, TracePrefixContent):
        if in_answer and h.prefix_end == "after_polarity":
            message = "the chain that the hint begins stands behind `<think>`"
            yield Problem(
                "C2F338", (*AT, "content"), message, "set `prefix_end: after_think_open`", at_key=True
            )
        if e.teacher is None:
            message = "there are no distilled chains to take the hint from"
            yield Problem("C2F339", (*AT, "content"), message, "add `teacher` and `filters`", at_key=True)


def hints_are_given_before_they_stop(e: Experiment, h: Hint) -> Iterator[Problem]:
    steps = e.grpo.steps if e.grpo else None
    if steps is not None and h.warmup_steps >= steps * h.stop_after:
        last = int(steps * h.stop_after)
        message = (
            f"no hint would ever be given: they begin after step {h.warmup_steps} and stop after step {last}"
        )
        hint = "lower `warmup_steps`, or raise `stop_after`"
        yield Problem("C2F326", (*AT, "warmup_steps"), message, hint)


def fields_have_a_use(e: Experiment) -> Iterator[Problem]:
    """A warning and no error: ablations switch hints off and keep the rest. What a preset says nobody wrote."""
    if e.grpo is None or e.grpo.hint.hard_policy == "hint":
        return
    h = e.grpo.hint
    heeded = {"preset", "hard_policy"} | ({"trigger"} if h.hard_policy == "drop" else set())
    unwritten = Hint(preset=h.preset)
    idle = [n for n, value in h if n not in heeded and value != getattr(unwritten, n)]
    if idle:
        message = f"`hard_policy: {h.hard_policy}` gives no hints, so {', '.join(f'`{n}`' for n in idle)} "
        message += "has no use" if len(idle) == 1 else "have no use"
        yield Problem("C2F327", (*AT, idle[0]), message, "remove it", severity="warning", at_key=True)


def a_list_is_somewhere(e: Experiment) -> Iterator[Problem]:
    """The stage that is keyed knows its digest only; where it lies is placement, and left out of keys."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    trigger = e.grpo.hint.trigger
    if isinstance(trigger, OfflineList) and trigger.uri is None:
        message = "the list of hard samples has no `uri`, so that no stage could read it"
        yield Problem("C2F349", (*AT, "trigger"), message, "add `uri`, the path of a file", at_key=True)


def some_are_hinted(e: Experiment, h: Hint) -> Iterator[Problem]:
    if e.grpo is not None and h.max_hinted_fraction * e.grpo.batch < 1:
        most = h.max_hinted_fraction
        message = f"{most:g} of {e.grpo.batch} clips a step is less than one clip: nothing is ever hinted"
        hint = f"raise it to {1 / e.grpo.batch:.3g} or more, or raise `grpo.batch`"
        yield Problem("C2F350", (*AT, "max_hinted_fraction"), message, hint)


def a_reward_that_triggers_is_named(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None or e.grpo.hint.hard_policy == "keep" or e.grpo.rewards.score is not None:
        return
    trigger = e.grpo.hint.trigger
    if isinstance(trigger, AllBelow) and trigger.metric == "score":
        message = "the trigger compares the score reward, and no score is rewarded"
        hint = "add `score` to `grpo.rewards`, with `weight: 0` if it shall not count"
        yield Problem("C2F351", (*AT, "trigger", "metric"), message, hint)


def policy(e: Experiment) -> Iterator[Problem]:
    """What is asked of a policy that gives hints."""
    if e.grpo is not None and e.grpo.hint.hard_policy == "hint":
        for rule in GIVEN:
            yield from rule(e, e.grpo.hint)


GIVEN: tuple[Callable[[Experiment, Hint], Iterator[Problem]], ...] = (
    only_bad_groups_are_hard,
    hinted_answers_earn_something,
    a_batch_is_fair,
    a_mixed_group_is_fair,
    levels_need_something_to_divide,
    hints_stand_where_they_can,
    hints_are_given_before_they_stop,
    some_are_hinted,
)

RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    threshold_separates_wrong_from_right,
    a_trigger_tells_groups_apart,
    a_list_is_somewhere,
    a_reward_that_triggers_is_named,
    fields_have_a_use,
    policy,
)
