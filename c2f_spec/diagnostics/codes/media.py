"""Codes 380 to 382: data sets of one's own; frames and sound that cannot be had as asked for (METHOD 2.7, 8.2)."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F380": Entry(
        "frames of no size",
        "Frames with more pixels than `media.max_pixels` are scaled down, and those with fewer than `media.min_pixels` are "
        "scaled up. Where the one is below the other no size is right.",
        "media: {min_pixels: 200704, max_pixels: 100352}\n",
        "media: {min_pixels: 50176, max_pixels: 100352}\n",
    ),
    "C2F381": Entry(
        "interleaved sound with vLLM",
        "`media.audio: in_video` writes sound and frames in turn, two seconds of each at a time, as Qwen2.5-Omni was trained on "
        "videos. vLLM takes no such prompts from arrays; and what a student is trained on and asked with must be the same.",
        "media: {audio: in_video}\nevaluate: {checkpoints: [base], datasets: [icwsm2014-movie], engine: vllm}\n",
        "media: {audio: in_video}\nevaluate: {checkpoints: [base], datasets: [icwsm2014-movie], engine: transformers}\n",
    ),
    "C2F382": Entry(
        "a data set of one's own that is none",
        "`data.own` declares data sets that this program does not know, each by a name that nothing else has, with the range "
        "of its labels, in whose middle is 0, which is neutral. `c2f-spec data add NAME --from DIR` prints the lines for a folder with clips.",
        "data: {train: mine, own: [{name: mine, language: en, low: 3, high: -3, clips: {train: 100}}]}\n"
        "format: direct\nsft: {}\n",
        "data: {train: mine, own: [{name: mine, language: en, low: -3, high: 3, clips: {train: 100}}]}\n"
        "format: direct\nsft: {}\n",
    ),
}
