"""Codes 2xx: a value is not what the schema says it must be."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F201": Entry(
        "an unknown field",
        "There is no field of this name here. Nothing is accepted and ignored: a misspelt `learning_rat` that is "
        "silently dropped would train with the default and report the wrong experiment. The hint has the nearest "
        "name, the name that this field has here, or the section where it belongs.",
        "format: direct\nsft: {lr: 1e-5}\n",
        "format: direct\nsft: {learning_rate: 1e-5}\n",
    ),
    "C2F202": Entry(
        "a missing field",
        "The field has no default, because no value of ours could be the right one for you. The caret is under the "
        "section that lacks it.",
        "data: {render_seed: 7}\n",
        "data: {train: icwsm2014-movie, render_seed: 7}\n",
    ),
    "C2F203": Entry(
        "an unknown kind",
        "The section has several kinds with fields of their own, and `kind` names none of them. Other fields of the "
        "section are not looked at until the kind is known.",
        "teacher: {kind: lexikon}\nfilters: {polarity_match: {}}\n",
        "teacher: {kind: lexicon}\nfilters: {polarity_match: {}}\n",
    ),
    "C2F204": Entry(
        "a missing kind",
        "The section has several kinds with fields of their own and no usual one, so `kind` must be said. It happens "
        "in environments, where `kind` is `local` or `kubernetes`.",
    ),
    "C2F205": Entry(
        "a value that is not one of the allowed",
        "The field takes one of a few words, and each stands for code that exists; another word would mean nothing.",
        "sft: {schedule: cosin}\nformat: direct\n",
        "sft: {schedule: cosine}\nformat: direct\n",
    ),
    "C2F206": Entry(
        "a text in the wrong form",
        "Names become part of Kubernetes names and of paths in the store, hence lower-case letters, digits and "
        "dashes. Revisions are full commit hashes: a branch moves, and with it what `reuse` would mean.",
        "student: {model: Qwen/Qwen2.5-Omni-7B, revision: main}\n",
        "student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n",
    ),
    "C2F207": Entry(
        "a value of the wrong type",
        "The schema decides what a scalar is: `1e-5` is a number where a number is asked for, `no` stays text where "
        "text is. Not-a-number and infinity are never numbers here: an infinite learning rate would be accepted by "
        "every bound and waste a GPU-day.",
        "seed: forty-two\n",
        "seed: 42\n",
    ),
    "C2F208": Entry(
        "a number out of bounds",
        "The bounds are those within which the method is defined: a group of one answer, for example, has no "
        "advantage (METHOD 1.6).",
        "grpo: {generations: 1}\n",
        "grpo: {generations: 4}\n",
    ),
    "C2F209": Entry(
        "fields of one section that exclude each other",
        "Each field is fine by itself; together they say two things or leave one open. The message names the rule.",
        "grpo: {rewards: {format: {}, polarity: {}, score: {shape: gaussian}}}\n",
        "grpo: {rewards: {format: {}, polarity: {}, score: {shape: gaussian, width: 0.5}}}\n",
    ),
    "C2F210": Entry(
        "an empty value",
        "A list that must name something is empty; leave its section out if nothing is meant.",
        "evaluate: {checkpoints: [], datasets: [icwsm2014-movie]}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n",
    ),
    "C2F211": Entry(
        "a text that is too long",
        "The text becomes part of names that Kubernetes and object stores limit.",
        "name: " + "x" * 60 + "\n",
        "name: x\n",
    ),
    "C2F212": Entry(
        "more problems than are shown",
        "Only the first hundred problems of the schema are shown; the rest is usually the same one again.",
    ),
    "C2F299": Entry(
        "another problem with a value",
        "The schema refuses the value for a reason that has no message of its own yet; the text is the validator's.",
        "student: {kind: tiny, hidden: 33}\n",
        "student: {kind: tiny, hidden: 64}\n",
    ),
}
