"""Check the hint policy (METHOD 1.8, 6.3, 6.4): each rule rejects a policy that would run and teach nothing, or the wrong thing."""

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


def check_threshold(e: Experiment) -> Iterator[Problem]:
    """Check that the trigger's threshold separates wrong groups from right ones (METHOD 1.8, `Rewards.threshold_range`)."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep" or not isinstance(e.grpo.hint.trigger, AllBelow):
        return
    rewards, trigger = e.grpo.rewards, e.grpo.hint.trigger
    threshold, loc = trigger.threshold, (*AT, "trigger", "threshold")
    if trigger.metric != "total":
        if threshold is None:
            message = (
                f"`threshold: auto` is a total reward, but `metric: {trigger.metric}` ranges from 0 to 1"
            )
            yield Problem(
                "C2F328", (*AT, "trigger", "metric"), message, "set `threshold` to a number, for example 0.5"
            )
        else:
            yield from _check_range(f"`{trigger.metric}`", threshold, 1.0)
        return
    most = sum(reward.weight for reward in rewards.active().values())
    if rewards.format is None or rewards.polarity is None:
        if threshold is None:
            message = (
                "`threshold: auto` needs the rewards `format` and `polarity`, and one of them is missing"
            )
            hint = "add both rewards, set `threshold` to a number, or set `hard_policy: keep`"
            yield Problem("C2F314", AT, message, hint, at_key=True)
        else:
            yield from _check_range("the total", threshold, most)
        return
    low, high = rewards.threshold_range()
    gated = rewards.score is None or rewards.score.gate in ("tag", "tag_and_sign")
    if rewards.polarity.weight == 0:
        if threshold is None or gated:
            message = (
                "the polarity reward has weight 0, so no threshold separates wrong groups from right ones"
            )
            hint = "set its weight above 0, or set `hard_policy: keep`"
            yield Problem("C2F316", ("grpo", "rewards", "polarity", "weight"), message, hint)
    elif gated and low >= high:
        message = f"a wrong answer can earn {low:g} and a right one {high:g}, so no threshold separates them"
        hint = "raise the weight of `polarity` above that of the other rewards, or set `hard_policy: keep`"
        yield Problem("C2F315", loc, message, hint)
    elif threshold is not None and gated and not low < threshold <= high:
        why = (
            "no wrong group would be hard"
            if threshold <= low
            else "right answers with a poor score would be hard"
        )
        message = f"threshold {threshold:g} is out of range ({low:g}, {high:g}]: {why}"
        yield Problem("C2F315", loc, message, "set `threshold: auto`")
    elif threshold is not None and not gated:
        yield from _check_range("the total", threshold, most)


def _check_range(metric: str, threshold: float, most: float) -> Iterator[Problem]:
    """Check a threshold on a metric from 0 to `most`."""
    if not 0 < threshold <= most:
        groups = "no group" if threshold <= 0 else "every group"
        message = f"threshold {threshold:g} is out of range: {metric} ranges from 0 to {most:g}, so {groups} is hard"
        hint = f"set `threshold` to a number in (0, {most:g}]"
        yield Problem("C2F329", (*AT, "trigger", "threshold"), message, hint)


def check_trigger_separates(e: Experiment) -> Iterator[Problem]:
    """Check that some groups can be hard and some not; only hints may be given to all."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    trigger, dropped = e.grpo.hint.trigger, e.grpo.hint.hard_policy == "drop"
    at: tuple[str, ...] = (*AT, "trigger")
    if isinstance(trigger, Always) and dropped:
        message, hint = "every group is hard and dropped, so nothing is trained", "set another `trigger`"
    elif isinstance(trigger, PassRate) and trigger.max_rate >= 1:
        message, at = "every group is hard, even if all its answers are right", (*at, "max_rate")
        hint = "lower `max_rate` below 1" + ("" if dropped else ", or set `trigger: always`")
    elif (
        isinstance(trigger, ZeroVariance)
        and trigger.only_if_mean_below is not None
        and trigger.only_if_mean_below <= 0
    ):
        message, at = "no mean reward is below 0, so no group is hard", (*at, "only_if_mean_below")
        hint = "raise `only_if_mean_below` above 0"
    else:
        return
    yield Problem("C2F352", at, message, hint)


def check_hinted_rewards(e: Experiment, h: Hint) -> Iterator[Problem]:
    if e.grpo is None or h.polarity_reward_on_hinted == "keep":
        return
    if not e.grpo.rewards.active().keys() - {"polarity"}:
        message = "hinted answers earn no reward: `polarity` is the only one, and `polarity_reward_on_hinted` excludes it"
        hint = "add another reward with a weight above 0, or set `polarity_reward_on_hinted: keep`"
        yield Problem("C2F353", (*AT, "polarity_reward_on_hinted"), message, hint)


def check_zero_variance(e: Experiment, h: Hint) -> Iterator[Problem]:
    del e
    if isinstance(h.trigger, ZeroVariance) and h.trigger.only_if_mean_below is None:
        message = "groups whose answers are all right have zero variance too, and would be hinted"
        yield Problem("C2F325", (*AT, "trigger"), message, "set `only_if_mean_below`", at_key=True)


def reveals_polarity(h: Hint) -> bool:
    """Return whether the content of hints contains the polarity; only free text may not."""
    return not isinstance(h.content, TextContent)


def check_batch_scale(e: Experiment, h: Hint) -> Iterator[Problem]:
    """Check `scale: batch`: a constant reward cancels in a hinted group, but not in a batch with other groups (METHOD 6.3)."""
    if e.grpo is None or e.grpo.scale != "batch" or not isinstance(h.group, ReplaceAll):
        return
    all_hinted = isinstance(h.trigger, Always) and h.dropout == 0 and h.max_hinted_fraction == 1
    if reveals_polarity(h) and h.polarity_reward_on_hinted == "keep" and not all_hinted:
        message = (
            "`scale: batch` mixes hinted and other groups, and hinted ones get the polarity reward for free"
        )
        hint = "set `polarity_reward_on_hinted: exclude` or `scale: group`"
        yield Problem("C2F330", ("grpo", "scale"), message, hint, severity="warning")


def single_answer(e: Experiment, h: Hint) -> str | None:
    """Return words for the answer of a mixed group that is the only one of its kind, or `None`."""
    if e.grpo is None or isinstance(h.group, ReplaceAll):
        return None
    if h.group.k == 1:
        return "a single hinted answer"
    return "a single answer without a hint" if _unhinted(e.grpo, h.group) == 1 else None


def _unhinted(grpo: Grpo, group: ReplaceK | Append) -> int:
    """Return the number of answers of a mixed group that have no hint."""
    return grpo.generations - group.k if isinstance(group, ReplaceK) else grpo.generations


def check_mixed_group(e: Experiment, h: Hint) -> Iterator[Problem]:
    """Check groups of hinted and other answers: normalised jointly, hinted ones win by a polarity that they did not earn (METHOD 6.3)."""
    if e.grpo is None or isinstance(h.group, ReplaceAll):
        return
    at, single, generations = (*AT, "group"), single_answer(e, h), e.grpo.generations
    free = reveals_polarity(h) and h.polarity_reward_on_hinted == "keep"
    if h.normalise == "joint" and free:
        message = "with `normalise: joint` hinted answers beat the others by a polarity that the hint reveals"
        hint = "set `polarity_reward_on_hinted: exclude`" + ("" if single else " or `normalise: separate`")
        yield Problem("C2F331", at, message, hint, at_key=True)
    if h.normalise == "separate" and single:
        message = f"{single}, normalised separately, always has advantage 0"
        joint = "`normalise: joint`" + (" with `polarity_reward_on_hinted: exclude`" if free else "")
        yield Problem(
            "C2F332", (*at, "k"), message, f"set `k` to {_valid_k(generations, h.group)}, or set {joint}"
        )
    if _unhinted(e.grpo, h.group) <= 0:
        message = f"`k: {h.group.k}` replaces all {generations} answers of a group"
        hint = f"lower `k` to {generations - 1} or less, or set `group: replace_all`"
        yield Problem("C2F333", (*at, "k"), message, hint)
    if isinstance(h.group, Append) and h.group.k > generations:
        message = f"{h.group.k} hinted answers are appended to {generations}, so most of the group is hinted"
        yield Problem(
            "C2F334", (*at, "k"), message, f"lower `k` to {generations} or less", severity="warning"
        )


def _valid_k(generations: int, group: ReplaceK | Append) -> str:
    """Return words for the numbers of hinted answers with which no answer is the only one of its kind."""
    if isinstance(group, Append):
        return "2 or more"
    if generations < 4:
        return "2 with 4 or more `generations`"
    return "2" if generations == 4 else f"2 to {generations - 2}"


def check_level(e: Experiment, h: Hint) -> Iterator[Problem]:
    del e
    whole = isinstance(h.level, FixedLevel) and h.level.level == 1
    if isinstance(h.content, PolarityContent) and not whole:
        message = "`level` has no effect: `content: polarity` cannot be divided"
        hint = "remove `level`, or set `content` to `trace_prefix`, `polarity_bin` or `text`"
        yield Problem("C2F335", (*AT, "level"), message, hint, at_key=True)


def check_placement(e: Experiment, h: Hint) -> Iterator[Problem]:
    in_answer = h.placement == "in_answer"
    if not in_answer and not isinstance(h.forced_loss, MaskLoss):
        message = "`forced_loss` has no effect: a hint in the prompt forces no tokens of the answer"
        hint = "remove `forced_loss`, or set `placement: in_answer`"
        yield Problem("C2F336", (*AT, "forced_loss"), message, hint, at_key=True)
    if in_answer and isinstance(h.content, TextContent):
        message = (
            "free text at the start of an answer breaks its format, so no answer earns the format reward"
        )
        yield Problem("C2F337", (*AT, "content"), message, "set `placement: in_prompt`", at_key=True)
    if isinstance(h.content, TracePrefixContent):
        if in_answer and h.prefix_end == "after_polarity":
            message = (
                "`prefix_end: after_polarity` is invalid for `trace_prefix`: the chain begins after `<think>`"
            )
            yield Problem(
                "C2F338", (*AT, "content"), message, "set `prefix_end: after_think_open`", at_key=True
            )
        if e.teacher is None:
            message = "`content: trace_prefix` needs distilled chains, and the spec has no `teacher`"
            yield Problem("C2F339", (*AT, "content"), message, "add `teacher` and `filters`", at_key=True)


def check_hint_steps(e: Experiment, h: Hint) -> Iterator[Problem]:
    steps = e.grpo.steps if e.grpo else None
    if steps is not None and h.warmup_steps >= steps * h.stop_after:
        last = int(steps * h.stop_after)
        message = f"no step has hints: they start after step {h.warmup_steps} and stop after step {last}"
        hint = "lower `warmup_steps` or raise `stop_after`"
        yield Problem("C2F326", (*AT, "warmup_steps"), message, hint)


def check_unused_fields(e: Experiment) -> Iterator[Problem]:
    """Warn of hint fields without hints. No error: ablations switch hints off and keep the rest; values of a preset do not count."""
    if e.grpo is None or e.grpo.hint.hard_policy == "hint":
        return
    h = e.grpo.hint
    used = {"preset", "hard_policy"} | ({"trigger"} if h.hard_policy == "drop" else set())
    defaults = Hint(preset=h.preset)
    unused = [n for n, value in h if n not in used and value != getattr(defaults, n)]
    if unused:
        fields = ", ".join(f"`{n}`" for n in unused)
        verb = "has" if len(unused) == 1 else "have"
        message = f"{fields} {verb} no effect: `hard_policy: {h.hard_policy}` gives no hints"
        hint = f"remove {fields}, or set `hard_policy: hint`"
        yield Problem("C2F327", (*AT, unused[0]), message, hint, severity="warning", at_key=True)


def check_list_location(e: Experiment) -> Iterator[Problem]:
    """Check that an offline list has a `uri`. Keys hold the digest only: the location is placement."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    trigger = e.grpo.hint.trigger
    if isinstance(trigger, OfflineList) and trigger.uri is None:
        message = "missing `uri`: no stage can read the list of hard samples"
        yield Problem("C2F349", (*AT, "trigger"), message, "set `uri` to the path of the list", at_key=True)


def check_hinted_fraction(e: Experiment, h: Hint) -> Iterator[Problem]:
    if e.grpo is not None and h.max_hinted_fraction * e.grpo.batch < 1:
        most = h.max_hinted_fraction
        message = f"{most:g} of {e.grpo.batch} clips a step is less than one clip, so nothing is hinted"
        hint = f"raise `max_hinted_fraction` to {1 / e.grpo.batch:.3g} or more, or raise `grpo.batch`"
        yield Problem("C2F350", (*AT, "max_hinted_fraction"), message, hint)


def check_trigger_reward(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None or e.grpo.hint.hard_policy == "keep" or e.grpo.rewards.score is not None:
        return
    trigger = e.grpo.hint.trigger
    if isinstance(trigger, AllBelow) and trigger.metric == "score":
        message = "`metric: score` needs the reward `score`, which is missing"
        hint = "add `score` to `grpo.rewards`, with `weight: 0` if it must not count"
        yield Problem("C2F351", (*AT, "trigger", "metric"), message, hint)


def check_hints(e: Experiment) -> Iterator[Problem]:
    """Run the rules on policies that give hints."""
    if e.grpo is not None and e.grpo.hint.hard_policy == "hint":
        for rule in HINT_RULES:
            yield from rule(e, e.grpo.hint)


HINT_RULES: tuple[Callable[[Experiment, Hint], Iterator[Problem]], ...] = (
    check_zero_variance,
    check_hinted_rewards,
    check_batch_scale,
    check_mixed_group,
    check_level,
    check_placement,
    check_hint_steps,
    check_hinted_fraction,
)

RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    check_threshold,
    check_trigger_separates,
    check_list_location,
    check_trigger_reward,
    check_unused_fields,
    check_hints,
)
