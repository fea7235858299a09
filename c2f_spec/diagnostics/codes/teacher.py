"""Codes 340 to 348 and 356 to 358: teachers and filters that work against each other (METHOD 3, 8.4)."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

INSTRUCT = "model: Qwen/Qwen3-Omni-30B-A3B-Instruct, revision: 0123456789abcdef0123456789abcdef01234567"
MATCH = "filters: {polarity_match: {}}\n"
RETRY = "filters: {polarity_match: {on_fail: retry}}\n"
LEXICON = "teacher: {kind: lexicon}\n"

ENTRIES: dict[str, Entry] = {
    "C2F340": Entry(
        "a label that may be told",
        "In the paper the teacher does not see the label; its answer is compared with it afterwards. One that sees it "
        'may write "as the label says" into its chain, and the student would learn to argue from what it will not have. '
        "METHOD 3 makes `no_label_leak` mandatory then.",
        f"teacher: {{{INSTRUCT}, label_visibility: polarity}}\n" + MATCH,
        f"teacher: {{{INSTRUCT}, label_visibility: polarity}}\nfilters: {{polarity_match: {{}}, no_label_leak: {{}}}}\n",
    ),
    "C2F341": Entry(
        "two blocks of thinking",
        "A Thinking variant opens a `<think>` block of its own before it answers, and the format has a tag of the same "
        "name: the wrong one would be read as the chain (METHOD 3). Strip the native block, or name the Instruct "
        "variant.",
        f"teacher: {{{INSTRUCT.replace('Instruct', 'Thinking')}}}\n" + MATCH,
        f"teacher: {{{INSTRUCT.replace('Instruct', 'Thinking')}, native_thinking: strip, max_new_tokens: 4096}}\n"
        + MATCH,
    ),
    "C2F342": Entry(
        "asking again for the same answer",
        "`on_fail: retry` asks the teacher for another chain. The lexicon, or a model at temperature 0, writes the same "
        "one each time and fails the same filter: time on a GPU for nothing.",
        f"teacher: {{{INSTRUCT}, temperature: 0}}\n" + RETRY,
        f"teacher: {{{INSTRUCT}, temperature: 0.7}}\n" + RETRY,
    ),
    "C2F343": Entry(
        "asking again, no times",
        "A filter says `on_fail: retry`, and `teacher.retry` allows no second try, so that the chain is dropped after "
        "all. The default is 2, as in LLaVA-CoT (METHOD 3).",
        f"teacher: {{{INSTRUCT}, retry: 0}}\n" + RETRY,
        f"teacher: {{{INSTRUCT}, retry: 2}}\n" + RETRY,
    ),
    "C2F344": Entry(
        "several samples that are one",
        "`samples` asks for several chains of each clip, and the first that passes the filters is kept. At temperature "
        "0 they are the same chain, paid for several times.",
        f"teacher: {{{INSTRUCT}, temperature: 0, samples: 4}}\n" + MATCH,
        f"teacher: {{{INSTRUCT}, temperature: 0.7, samples: 4}}\n" + MATCH,
    ),
    "C2F345": Entry(
        "a teacher that fills its GPU",
        "The weights of Qwen3-Omni-30B take about 59 GiB in bfloat16. On one GPU of 80 GB less than 15 GiB are left for "
        "frames, sound and the cache of keys and values, so METHOD 8.4 asks for two. A warning, because a larger GPU "
        "may hold it.",
        f"teacher: {{kind: vllm, {INSTRUCT}, tensor_parallel: 1}}\n" + MATCH,
        f"teacher: {{kind: vllm, {INSTRUCT}, tensor_parallel: 2}}\n" + MATCH,
    ),
    "C2F346": Entry(
        "a length that no chain has",
        "The least length is above the greatest, so that every chain fails and none is left to train on. METHOD 3 keeps "
        "chains of 60 to 512 tokens.",
        LEXICON + "filters: {polarity_match: {}, length: {min: 512, max: 60}}\n",
        LEXICON + "filters: {polarity_match: {}, length: {min: 60, max: 512}}\n",
    ),
    "C2F347": Entry(
        "two bounds for one error",
        "`max_abs` bounds the error in units of the score and stands instead of `max_fraction`, its share of the data "
        "set's range (METHOD 3). With both, one would be accepted and ignored, even where it is the default's 0.2.",
        LEXICON + "filters: {polarity_match: {}, score_tolerance: {max_abs: 0.4, max_fraction: 0.1}}\n",
        LEXICON + "filters: {polarity_match: {}, score_tolerance: {max_abs: 0.4}}\n",
    ),
    "C2F348": Entry(
        "a tolerance that tolerates everything",
        "No score can be further off than the data set's range is wide, so this filter keeps every chain while the spec "
        "claims that scores were checked. METHOD 3 allows a fifth of the range: 0.4 for SIMS, 1.2 for MOSI.",
        LEXICON + "filters: {polarity_match: {}, score_tolerance: {max_abs: 8}}\n",
        LEXICON + "filters: {polarity_match: {}, score_tolerance: {max_abs: 1.6}}\n",
    ),
    "C2F356": Entry(
        "asking again for what is not counted yet",
        "`on_fail: retry` is decided beside the teacher, before the chain goes anywhere. Tokens are the student's, whose "
        "tokenizer belongs to a later stage: with it in this one, another student would have every chain written anew.",
        f"teacher: {{{INSTRUCT}}}\nfilters: {{polarity_match: {{}}, length: {{on_fail: retry}}}}\n",
        f"teacher: {{{INSTRUCT}}}\nfilters: {{polarity_match: {{}}, length: {{on_fail: retry, unit: words}}}}\n",
    ),
    "C2F357": Entry(
        "a budget without prices",
        "`max_cost` ends a stage before it spends more, by the tokens that the endpoint counts and the prices of a million "
        "of each. Without prices everything costs nothing, and the limit would never be reached.",
        "teacher: {kind: openai, model: m-2026, endpoint: https://t.example.org/v1, client: {max_cost: 20}}\n"
        + MATCH,
        "teacher: {kind: openai, model: m-2026, endpoint: https://t.example.org/v1, "
        "client: {max_cost: 20, price_in: 1.5, price_out: 6}}\n" + MATCH,
    ),
    "C2F358": Entry(
        "no room to think and to answer",
        "A Thinking variant writes a block of thinking of its own before the answer, often longer than the answer, and "
        "`max_new_tokens` holds for both. A reply that breaks off inside the block has no chain: it is asked for again as "
        "often as `retry` allows, and then dropped. A warning, because how long a model thinks is known only by trying.",
        f"teacher: {{{INSTRUCT.replace('Instruct', 'Thinking')}, native_thinking: strip}}\n" + MATCH,
        f"teacher: {{{INSTRUCT.replace('Instruct', 'Thinking')}, native_thinking: strip, max_new_tokens: 4096}}\n"
        + MATCH,
    ),
}
