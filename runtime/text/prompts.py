"""The prompts of METHOD 2, by language and form.

The first sentences of the English chain prompt are the paper's (Figs. 1 and 4); the rest is not preserved and is ours.
`{p}`, `{t}`, `{s}` are the tags' names, `{positive}`, `{neutral}`, `{negative}` the words of a polarity, `{text}` the transcript, `{low}` and `{high}` the range of the score.
"""

from __future__ import annotations

_EN = (
    "You are a senior multimodal sentiment analysis expert. Based on the provided video, audio, and dialogue content "
    "({text}), you will analyze the sentiment score. "
)
_ZH = "你是一名资深的多模态情感分析专家。请根据提供的视频、音频和对话内容（{text}）分析情感得分。"

PROMPTS: dict[tuple[str, str], str] = {
    ("en", "chain"): _EN
    + """\
You will rigorously evaluate the emotional indicators of each clue, consider multiple possibilities, and provide a \
final comprehensive judgment.
First state the overall polarity, then reason step by step, then give the score.
Answer in exactly this format and write nothing else:
<{p}>{positive}, {neutral} or {negative}</{p}>

<{t}>
1. Dialogue Content Clues Analysis: ...
2. Visual Clues Analysis: ...
3. Audio Clues Analysis: ...
4. Mixed Clues Comprehensive Analysis: ...
</{t}>

<{s}>a number from {low} (strongly negative) to {high} (strongly positive), 0 is neutral</{s}>""",
    ("zh", "chain"): _ZH
    + """\
请严谨评估每条线索中的情感指标，考虑多种可能性，并给出最终的综合判断。
请先给出总体极性，再逐步推理，最后给出得分。严格按以下格式作答，不要输出其他内容：
<{p}>{positive}、{neutral} 或 {negative}</{p}>

<{t}>
1. 对话内容线索分析：……
2. 视觉线索分析：……
3. 音频线索分析：……
4. 混合线索综合分析：……
</{t}>

<{s}>介于 {low}（强烈消极）到 {high}（强烈积极）之间的数字，0 表示中性</{s}>""",
    ("en", "direct"): _EN
    + "Output only the sentiment score, a number from {low} to {high}, and nothing else.",
    ("zh", "direct"): _ZH + "只输出情感得分，即一个介于 {low} 到 {high} 之间的数字，不要输出其他内容。",
}

HEADINGS: dict[str, tuple[str, str, str, str]] = {
    "en": (
        "Dialogue Content Clues Analysis",
        "Visual Clues Analysis",
        "Audio Clues Analysis",
        "Mixed Clues Comprehensive Analysis",
    ),
    "zh": ("对话内容线索分析", "视觉线索分析", "音频线索分析", "混合线索综合分析"),
}

MISSING_MEDIA: dict[str, dict[str, str]] = {
    "en": {"video": "There is no video.\n", "audio": "There is no audio.\n"},
    "zh": {"video": "没有视频画面。\n", "audio": "没有音频。\n"},
}
"""Sentences in the place of missing video or sound, by language (METHOD 2.7)."""


def user_turn(
    question: str, language: str, lacks: tuple[str, ...], *, interleaved: bool = False
) -> list[dict[str, str]]:
    """Return the parts of the user's turn: video, audio, and the text `question`, which is in `language`.

    With `interleaved`, sound has no part of its own where there is a picture: it comes with the video.
    """
    parts = []
    for kind in ("video", "audio"):
        if kind in lacks:
            parts.append({"type": "text", "text": MISSING_MEDIA[language][kind]})
        elif kind == "video" or not interleaved or "video" in lacks:
            parts.append({"type": kind})
    return [*parts, {"type": "text", "text": question}]


LABEL_DISCLOSURE: dict[tuple[str, str], str] = {
    ("en", "polarity"): "For your analysis only: the speaker's sentiment is {polarity}.",
    ("en", "full"): "For your analysis only: the speaker's sentiment is {polarity}, its score {score}.",
    ("zh", "polarity"): "仅供你分析参考：说话者的情感为 {polarity}。",
    ("zh", "full"): "仅供你分析参考：说话者的情感为 {polarity}，得分为 {score}。",
}
"""Sentences that disclose the label to a teacher, by language and `teacher.label_visibility`; none by default (METHOD 3)."""
DISCLOSURE_RULE: dict[str, str] = {
    "en": " Argue from the clues as if nobody had told you, and never mention that you were told.",
    "zh": "请像没有人告诉过你一样从线索出发论证，绝不要提及你已被告知。",
}
"""The rule after it, by language: the student argues without the label."""
