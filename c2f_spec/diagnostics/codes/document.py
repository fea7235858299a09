"""Codes 1xx: the text is not a document."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F101": Entry(
        "not YAML",
        "The text cannot be read as YAML 1.2. The place is where the reader gave up; the cause is often on the line "
        "above: a bracket or quote that is not closed, a colon without a space after it, or a line that is indented "
        "by a tab or less than its neighbours.",
        "evaluate: {checkpoints: [base, datasets: [cmu-mosi]}\n",
        "evaluate: {checkpoints: [base], datasets: [cmu-mosi]}\n",
    ),
    "C2F102": Entry(
        "an empty file",
        "The file holds nothing but comments and blank lines. The smallest spec names the version of the language, "
        "itself, its data and its student; `c2f-spec init` writes one.",
        "# to be written\n",
        "c2f: v1\n",
    ),
    "C2F103": Entry(
        "not a map of fields",
        "A spec is a map: names of fields with values. This document is a list, or a single value.",
        "- name: demo\n",
        "name: demo\n",
    ),
    "C2F104": Entry(
        "a second document",
        "A line `---` starts a second document. One file is one spec, so that a path names exactly one experiment or "
        "sweep; several variants are a sweep, and several specs are several files.",
        "name: one\n---\nname: two\n",
        "name: one\n",
    ),
    "C2F105": Entry(
        "too deep or too many values",
        "Specs may come from strangers, so the reader is bounded in depth and in the number of values. No spec that a "
        "person writes comes near the limits; a file that does is data, and belongs into the store.",
        "a: " + "[" * 60 + "]" * 60 + "\n",
        "a: [[1]]\n",
    ),
    "C2F106": Entry(
        "an alias",
        "`*name` repeats what `&name` marked elsewhere. Aliases are refused because a value would then stand at two "
        "places: a message could not point at the one to change, and nested aliases make a small file explode.",
        "a: 1\nb: *base\n",
        "a: 1\nb: 1\n",
    ),
    "C2F107": Entry(
        "an anchor",
        "`&name` marks a value so that an alias can repeat it. As aliases are refused, an anchor has no use. Sharing "
        "between experiments is what `extends`, templates and sweeps are for: they remember where a value came from.",
        "sft: &train {epochs: 3}\n",
        "sft: {epochs: 3}\n",
    ),
    "C2F108": Entry(
        "a tag",
        "`!name` tells a YAML reader of which type a value is, and some readers run code for it. Here the schema "
        "decides what a value is, so a tag could only be wrong.",
        "seed: !!int 42\n",
        "seed: 42\n",
    ),
    "C2F109": Entry(
        "a key that is not text",
        "YAML lets a list or a map be a key. The fields of a spec have names.",
        "? [sft, grpo]\n: {epochs: 3}\n",
        "sft: {epochs: 3}\n",
    ),
    "C2F110": Entry(
        "a merge key",
        "`<<` copies the fields of another map. It needs an alias, leaves out nothing and says nothing of where a "
        "value came from; use `extends`, which merges maps, replaces lists and keeps the origin of every value.",
        "sft: {<<: {epochs: 3}, batch: 16}\n",
        "sft: {epochs: 3, batch: 16}\n",
    ),
    "C2F111": Entry(
        "a key that stands twice",
        "Most YAML readers silently keep the last of two equal keys, so that a value which is plainly in the file has "
        "no effect. Here it is an error at the second one.",
        "seed: 42\nseed: 43\n",
        "seed: 42\n",
    ),
    "C2F112": Entry(
        "not UTF-8",
        "Specs are UTF-8, with or without a byte order mark. Some editors save UTF-16 or a local encoding, in which a "
        "Chinese description turns into other characters on another machine.",
    ),
    "C2F113": Entry(
        "a control character",
        "YAML takes no control characters but tab and line end (YAML 1.2.2, section 5.1). They come from binary files "
        "and from copies of a terminal, are invisible in most editors, and can make a terminal lie about a file.",
        "name: de\x1b[1mmo\n",
        "name: demo\n",
    ),
    "C2F114": Entry(
        "a character that looks like another",
        "The key looks like a plain word and is not: it holds a Cyrillic or Greek letter, a full-width or accented "
        "one, or a character without width. Copies from PDF files and chats bring them. The message names each.",
        "s\u0435ed: 42\n",
        "seed: 42\n",
    ),
    "C2F115": Entry(
        "a key with space around it",
        "Quotes keep the space as part of the key, and `' seed'` is another word than `seed`.",
        "' seed': 42\n",
        "seed: 42\n",
    ),
    "C2F116": Entry(
        "too many problems",
        "Reading stops after a hundred problems: the rest is usually the same one again.",
        "a: 1\n" * 150,
        "a: 1\n",
    ),
    "C2F117": Entry(
        "no such file", "Paths start at the current folder. If a spec's name is close, the hint has it."
    ),
    "C2F118": Entry(
        "a folder", "A spec is a file. To name all of a folder, let the shell do it: `specs/*.yaml`."
    ),
    "C2F119": Entry(
        "a file that cannot be read",
        "The system refuses to read the file, and the message says why: a permission, a loop of links, a broken disk.",
    ),
    "C2F120": Entry(
        "a file that is too large",
        "A spec is a page or two. The limit of 500,000 bytes keeps hostile text from taking time and memory.",
    ),
    "C2F121": Entry(
        "another version of YAML",
        "Specs are YAML 1.2. Version 1.1 ends lines and reads some scalars otherwise, so that one text would have two "
        "meanings.",
        "%YAML 1.1\n---\nseed: 42\n",
        "seed: 42\n",
    ),
}
