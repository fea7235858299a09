"""Text that is meant to hurt, by name, and a few hundred random cases (`make fuzz` runs many thousand).

Each case ends in an experiment or in diagnostics, in a small multiple of the work of a plain text, and in 200 MB.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import C2fError, InvalidSpec
from c2f_spec.language.document import MAX_BYTES, MAX_DEPTH, MAX_PROBLEMS, load_document
from c2f_spec.language.parse import parse
from tests import fuzz

MB = MAX_BYTES - 1000  # larger texts are refused by their size
SMALLEST = (
    "c2f: v1\nname: x\ndata: {train: icwsm2014-movie}\nstudent: tiny\n"
    "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n"
)
BOMB = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 40)
)

LARGE = {
    "alias bomb": (BOMB, "YAML alias `*a0`"),
    "alias bomb of a megabyte": (BOMB + b"b: [" + b"*a39," * (MB // 5) + b"]", "too many problems"),
    "deep flow": (b"a: " + b"[" * MB, "too deep"),
    "deep flow maps": (b"{a: " * (MB // 4), "too deep"),
    "deep block": (b"".join(b" " * i + b"k:\n" for i in range(900)), "too deep"),
    "a million dashes": (b"-" * MB, "a spec must be a map"),
    "a million list dashes": (b"- " * (MB // 2), "too deep"),
    "a million items": (b"a:\n" + b"- 1\n" * (MB // 4), "too many values"),
    "a million flow items": (b"a: [" + b"1," * (MB // 2) + b"]", "too many values"),
    "one scalar": (b"a: " + b"x" * MB, "missing field"),
    "one scalar of words": (b"a: " + b"x " * (MB // 2), "missing field"),
    "one quoted scalar": (b'a: "' + b"\\n" * (MB // 2) + b'"', "missing field"),
    "one block scalar": (b"a: |\n" + b" x\n" * (MB // 3), "missing field"),
    "comments": (b"#\n" * (MB // 2) + b"a: 1\n", "missing field"),
    "blank lines": (b"\n" * MB + b"a: 1\n", "missing field"),
    "a long key": (b"x" * MB + b": 1\n", "mapping values are not allowed here"),
    "a long quoted key": (b"'" + b"x" * 900 + b"': 1\n", "missing field"),
    "many keys": (b"".join(b"k%d: 1\n" % i for i in range(70_000))[:MB] + b"\n", "too many values"),
    "many equal keys": (b"a: 1\n" * (MB // 5), "too many problems"),
    "many unknown fields": (b"".join(b"k%d: 1\n" % i for i in range(9_000)), "more from here on"),
    "many unknown fields in one line": (
        b"{" + b"".join(b"k%d: 1, " % i for i in range(9_000)) + b"}",
        "more from here on",
    ),
    "many anchors": (b"a:\n" + b"- &x 1\n" * (MB // 7), "too many problems"),
    "a long tag": (b"a: !" + b"x" * MB, "YAML tag"),
    "a long anchor": (b"a: &" + b"x" * MB + b" 1", "YAML anchor"),
    "a long directive": (b"%" + b"x" * MB, "invalid YAML"),
    "question marks": (b"? " * (MB // 2), "invalid key: it must be text"),
    "a number of a million digits": (SMALLEST.encode() + b"seed: " + b"9" * (MB - 500), "4,300 digits"),
    "a fraction of a million digits": (
        SMALLEST.encode() + b"media: {fps: 0." + b"0" * (MB - 500) + b"}",
        "must be more than 0",
    ),
    "line separators": (b"a: " + "\u2028".encode() * (MB // 3), "missing field"),
    "a megabyte": (b"#" * 1_000_000, "file too large"),
}  # fmt: skip


MAX_WORK = 12
"""Most work of a hostile text, in times that of one long scalar; the largest is 6, and what is quadratic has hundreds."""


def error_and_work(data: bytes) -> tuple[str, float]:
    """Return the message about an invalid text, and the seconds of CPU that it takes."""
    start = time.process_time()
    with pytest.raises(InvalidSpec) as caught:
        parse(load_document(data, "s.yaml"))
    return str(caught.value), time.process_time() - start


@pytest.mark.parametrize("name", LARGE)
def test_much_malice_is_told_quickly(name):
    """The unit of work is measured anew beside each case: a busy machine slows both alike."""
    data, expected = LARGE[name]
    unit = error_and_work(LARGE["one scalar"][0])[1]
    text, work = error_and_work(data)
    assert work < MAX_WORK * unit
    assert expected in text
    assert len(text) < 200_000


HEAVY = (
    "one scalar of words",
    "one block scalar",
    "blank lines",
    "many keys",
    "many unknown fields in one line",
)


def test_memory_stays_small():
    """In a process of its own, because a peak never falls."""
    script = (
        "import resource\nfrom tests.language.test_hostile import LARGE, load_document, parse, C2fError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"for data, _ in map(LARGE.get, {HEAVY!r}):\n    try:\n        parse(load_document(data, 's'))\n    except C2fError as e:\n        str(e)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200


def error_text(data: bytes | str) -> str:
    with pytest.raises(C2fError) as caught:
        parse(load_document(data.encode() if isinstance(data, str) else data, "s.yaml"))
    return str(caught.value)


def error_of_field(extra: str) -> str:
    return error_text(SMALLEST + extra)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: \x00\n", "s.yaml:1:4: invalid control character (U+0000)"),
        (b"a: 1\r\nb: \x1b[31m\r\n", "s.yaml:2:4: invalid control character (U+001B)"),
        ("a: 1\n".encode("utf-16"), "s.yaml:1:1: invalid UTF-8 (UTF-16 text)"),
        ("a: 1\n".encode("utf-16-le"), "invalid control character (U+0000)"),
        ("a: 1\n".encode("utf-32"), "invalid UTF-8"),
        ("a: 1\nb: 情感\n".encode("gb18030"), "s.yaml:2:4: invalid UTF-8 (byte 0xc7)"),
        ("a: é\n".encode("latin-1"), "s.yaml:1:4: invalid UTF-8 (byte 0xe9)"),
        (b"a:\n\tb: 1\n", "indent with spaces"),
        (b"a: 1\n\tb: 2\n", "s.yaml:2:"),
        ("с2f: v1\n", "is not `c2f`: it contains U+0441 CYRILLIC SMALL LETTER ES"),
        ("ｓeed: 1\n", "is not `seed`: it contains U+FF53 FULLWIDTH LATIN SMALL LETTER S"),
        ("se\u200bed: 1\n", "is not `seed`: it contains U+200B ZERO WIDTH SPACE"),
        ("séed: 1\n", "is not `seed`: it contains U+00E9 LATIN SMALL LETTER E WITH ACUTE"),
        ("ѕft: {αlpha: 1}\n", "is not `alpha`: it contains U+03B1 GREEK SMALL LETTER ALPHA"),
        ("' seed': 1\n", "has leading or trailing space"),
        ("seed\u00a0: 1\n", "has leading or trailing space"),
        (b"%YAML 1.1\n---\na: 1\n", "unsupported `%YAML` version"),
        (b"%YAML 9.9\n---\na: 1\n", "invalid YAML"),
        (b'a: "\\U00110000"\n', "invalid YAML"),
        (b'"\\uD800": 1\n', "s.yaml:"),
    ],
    ids=lambda v: str(v)[:20],
)  # fmt: skip
def test_a_trap_has_a_message_of_its_own(data, expected):
    assert expected in error_text(data)


def test_byte_order_mark_crlf_and_lone_cr_keep_their_places():
    assert "s.yaml:3:4: YAML anchor" in error_text(b"\xef\xbb\xbfa: 1\r\nb: 2\r\nc: &x 1\r\n")
    assert load_document(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "s").data == {"a": "1", "b": "2"}
    document = load_document(b"a: 1\rb: 2\r", "s")
    assert document.text.line(document.values["b",].line) == "b: 2"


def test_depth_at_the_limit_is_fine_and_beyond_is_not():
    assert load_document(b"a: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1), "s").data
    assert "too deep" in error_text(b"a: " + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("value", ["1e999", "-1e999", "nan", "NaN", "inf", "Infinity"])
def test_a_number_is_finite(value):
    assert f"`learning_rate` must be a finite number, not `{value}` [C2F207]" in error_of_field(
        f"format: direct\nsft: {{learning_rate: {value}}}\n"
    )


@pytest.mark.parametrize(
    "value", [".inf", "-.inf", ".nan", "0x10", "1e-5x", "1,5", "４", "2024-01-01", "1:30", "on"]
)
def test_what_is_not_a_number_is_refused_as_written(value):
    assert f"must be a number, not `{value}`" in error_of_field(
        f"format: direct\nsft: {{learning_rate: '{value}'}}\n"
    )


@pytest.mark.parametrize("value", ["0x10", "0o17", "1.5", "1e3", "4:00:00", "yes", "1__0"])
def test_what_is_not_a_whole_number_is_refused_as_written(value):
    assert f"`steps` must be a whole number, not `{value}`" in error_of_field(
        f"format: direct\nsft: {{steps: {value}}}\n"
    )


@pytest.mark.parametrize(
    ("written", "read"), [("010", 10), ("1_000", 1000), ("3.0", 3), ("+7", 7), ("0000012", 12)]
)
def test_a_whole_number_is_decimal(written, read):
    text = SMALLEST + f"format: direct\nsft: {{steps: {written}}}\n"
    assert parse(load_document(text.encode(), "s"))[0].sft.steps == read


@pytest.mark.parametrize(
    "value", ["on", "off", "yes", "no", "2024-01-01", "4:00:00", "1e5", "0x10", "1_000", ".inf"]
)
def test_text_stays_text(value):
    assert parse(load_document(f"{SMALLEST}description: {value}\n".encode(), "s"))[0].description == value


@pytest.mark.parametrize(
    ("written", "read"),
    [("true", True), ("yes", True), ("on", True), ("no", False), ("off", False), ("0", False)],
)
def test_a_switch_is_on_or_off(written, read):
    extra = f"teacher: {{kind: lexicon}}\nfilters: {{polarity_match: {{}}, replace_score_with_label: {written}}}\n"
    assert parse(load_document((SMALLEST + extra).encode(), "s"))[0].filters.replace_score_with_label is read


def test_negative_zero_is_within_bounds_and_minus_one_is_not():
    extra = "format: direct\nsft: {weight_decay: %s}\n"
    assert parse(load_document((SMALLEST + extra % "-0.0").encode(), "s"))[0].sft.weight_decay == 0
    assert "must be at least 0" in error_of_field(extra % "-1")


def test_a_message_does_not_obey_the_spec():
    text = error_text(SMALLEST + 'student: "\\e[2J\\u202e\\x07"\n"\\e[31mred": 1\ndescription: "\\uD800"\n')
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text


def test_no_more_is_told_than_is_read():
    with pytest.raises(SpecErrors) as caught:
        load_document(b"a: 1\n" * 5000, "s")
    assert len(caught.value.diagnostics) == MAX_PROBLEMS + 1


def test_random_cases_are_experiments_or_diagnostics():
    tally = fuzz.run(600, seed=3)
    assert sum(tally.counts.values()) == 600
    assert tally.counts["mutant: valid"] > 5, "mutants that are all broken test the reader only"
