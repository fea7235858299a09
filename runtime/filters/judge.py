"""The filter `judge`: a language model marks each chain from 1 to 5 by a rubric, as LLaVA-CoT and HumanOmniV2 filter.

Only chains that pass every other filter are sent to it. `facts["stage"]` is the stage's context, whose journal stores the
marks.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.console import log_line
from runtime.endpoints.chat_client import ChatClient, text_message
from runtime.endpoints.replies import RequestFailed
from runtime.filters.outcome import Failed
from runtime.process.parallel import map_threads
from runtime.process.units import Journal
from runtime.text.clips import seed_of, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from c2f_spec.spec.filters import Judge
    from runtime.process.context import Context
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


MAX_TRIES = 3
MAX_UNMARKED = 16
"""Chains without a mark, before the first with one, after which the stage ends: the endpoint is wrong, not the chains."""
MAX_REPLY_TOKENS = 160
MAX_REASON_CHARS = 200
MARK = re.compile(r"(?:\bmark|评分)\W{0,4}([1-5](?:\.\d+)?)(?!\d|\.\d)", re.IGNORECASE)
RUBRIC = {
    "en": """\
You mark explanations of the sentiment in a short video. You are given the words that were said and an explanation by \
somebody who saw and heard the video. Mark the explanation from 1 (useless) to 5 (excellent):
- every statement about the words fits the words
- statements about face and voice are concrete, and none contradicts another
- the conclusion follows from the clues, and the polarity from the conclusion
- nothing is a mere phrase that would fit any video
Answer with `Mark: ` and the number on the first line, and one sentence with the reason on the second.

Words: {text}
Polarity: {polarity}
Explanation:
{think}""",
    "zh": """\
请为一段短视频的情感解释评分。下面给出视频中说的话，以及一位看过、听过该视频的人写的解释。请从 1（毫无用处）到 5（非常好）评分：
- 关于话语的陈述都与原话相符
- 关于表情和声音的陈述具体，且互不矛盾
- 结论由线索得出，极性由结论得出
- 没有放在任何视频上都成立的空话
第一行只写“评分：”和数字，第二行用一句话说明理由。

原话：{text}
极性：{polarity}
解释：
{think}""",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """The judge's mark of one chain."""

    id: str
    value: float | None
    """From 1 to 5; `None` where the judge gave no mark."""
    reason: str
    tokens_in: int = 0
    tokens_out: int = 0


class ChainJudge:
    """Marks the chains of one stage with the LLM judge, through a journal."""

    def __init__(self, ctx: Context, spec: Judge, language: str) -> None:
        self._ctx, self._spec, self._language = ctx, spec, language

    def mark(self, chains: Sequence[tuple[Clip, Answer]]) -> dict[str, Mark]:
        """Return the mark of each chain by clip id, and write `marks.jsonl`.

        Raises `InvalidStageSpec` without an endpoint, and for a judge that marks none of the first `MAX_UNMARKED` chains.
        """
        endpoint = self._ctx.stage.placement.endpoint
        if endpoint is None:
            raise InvalidStageSpec(
                "the endpoint of the judge is missing", hint="plan the stage again, then apply"
            )
        wanted = {clip.id for clip, _ in chains}
        with Journal(self._ctx, endpoint.client.concurrency) as journal:
            marks = {row["id"]: Mark(**row) for row in journal.rows() if row["id"] in wanted}
            spent = sum(endpoint.client.cost(mark.tokens_in, mark.tokens_out) for mark in marks.values())
            left = [(clip, answer) for clip, answer in chains if clip.id not in marks]
            log_line(f"{len(marks)} of {len(chains)} marks are in the journal")
            client = ChatClient(endpoint, self._spec.model, spent=spent)
            # Before the first mark the endpoint may be at fault: chains without a mark are not stored, and are sent again.
            pending: list[Mark] = []
            endpoint_works = bool(marks)
            work = partial(self._mark, client)
            with closing(map_threads(work, left, endpoint.client.concurrency, client.close)) as new_marks:
                for mark in new_marks:
                    marks[mark.id] = mark
                    pending.append(mark)
                    endpoint_works = endpoint_works or mark.value is not None
                    if endpoint_works:
                        for each in pending:
                            journal.append(asdict(each))
                        pending.clear()
                    elif len(pending) == MAX_UNMARKED:
                        break
                    self._ctx.progress(len(marks), len(chains), "marks")
        if pending:
            raise InvalidStageSpec(
                f"the judge marked none of {len(pending)} chains: {pending[0].reason}",
                hint="check `filters.judge.model`; it must answer with `Mark: ` and a number",
            )
        write_jsonl(self._ctx.out / "marks.jsonl", (asdict(marks[clip.id]) for clip, _ in chains))
        return marks

    def _mark(self, client: ChatClient, chain: tuple[Clip, Answer]) -> Mark:
        clip, answer = chain
        question = RUBRIC[self._language].format(text=clip.text, polarity=answer.polarity, think=answer.think)
        tokens_in = tokens_out = 0
        reason = ""
        for tried in range(MAX_TRIES):
            try:
                reply = client.chat(
                    [text_message("user", question)],
                    max_tokens=MAX_REPLY_TOKENS,
                    temperature=0.0 if tried == 0 else 0.7,
                    seed=seed_of(self._ctx.stage.key, clip.id, 0, tried),
                )
            except RequestFailed as failed:
                reason = f"{failed.reason}: {failed.message}"
                break
            tokens_in += reply.tokens_in or 0
            tokens_out += reply.tokens_out or 0
            value, reason = read_mark(reply.text)
            if value is not None:
                return Mark(clip.id, value, reason, tokens_in, tokens_out)
            reason = reason or f"no words, ended by `{reply.finish}`"
        return Mark(clip.id, None, reason, tokens_in, tokens_out)


def read_mark(text: str) -> tuple[float | None, str]:
    """Return the mark in a reply and the words behind it; without a mark, `None` and the whole reply."""
    found = MARK.search(text)
    value = float(found.group(1)) if found else None
    words = " ".join((text[found.end() :] if found else text).split())
    return (value if value is not None and value <= 5 else None), words[:MAX_REASON_CHARS]


def check_all(
    chains: Sequence[tuple[Clip, Answer]], facts: Mapping[str, Any], spec: Judge
) -> dict[str, Failed]:
    """Fail each chain that the judge marks below `min_score` or not at all, by clip id. Raises as `ChainJudge.mark`."""
    return failed_marks(ChainJudge(facts["stage"], spec, facts["language"]).mark(chains).values(), spec)


def failed_marks(marks: Iterable[Mark], spec: Judge) -> dict[str, Failed]:
    """Return the outcome of each chain that fails by its mark."""
    found = {}
    for mark in marks:
        if mark.value is None:
            found[mark.id] = Failed(f"the judge gave no mark: {mark.reason}")
        elif mark.value < spec.min_score:
            found[mark.id] = Failed(
                f"marked {mark.value:g}, less than {spec.min_score:g}: {mark.reason}", mark.value
            )
    return found
