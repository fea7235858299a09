"""Any bytes are a document or a message with a place; scalars stay what was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import MAX_BYTES, load_document


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidSpec) as caught:
        load_document(data, "s.yaml")
    return str(caught.value)


def test_plain_scalars_stay_text_and_null_is_null():
    data = load_document(
        b"a: 1e-5\nb: no\nc: 010\nd: 1234567890123456789012345678901234567890\ne:\nf: ~\ng: '~'\nh: 4:00:00\n",
        "s",
    ).data
    assert data == {
        "a": "1e-5", "b": "no", "c": "010", "d": "1234567890123456789012345678901234567890",
        "e": None, "f": None, "g": "~", "h": "4:00:00",
    }  # fmt: skip


def test_every_key_and_value_knows_its_place():
    document = load_document(b"a: 1\nb:\n  - {c: two}\n", "s")
    spans = {loc: (p.line, p.column, p.width) for loc, p in document.values.items() if loc}
    assert spans[("a",)] == (1, 4, 1)
    assert spans[("b", 0, "c")] == (3, 9, 3)
    assert (document.keys["b", 0, "c"].line, document.keys["b", 0, "c"].column) == (3, 6)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "s.yaml:1:1: the file is empty"),
        (b"# a comment\n", "s.yaml:1:1: the file is empty"),
        (b"- a\n", "s.yaml:1:1: a spec must be a map of fields"),
        (b"a: 1\na: 2\n", "s.yaml:2:1: duplicate key `a` (first on line 1)"),
        (b"a: &x 1\n", "s.yaml:1:4: YAML anchor `&x`"),
        (b"a: *x\n", "YAML alias `*x`"),
        (b"<<: {a: 1}\n", "YAML merge key `<<`"),
        (b"a: !!python/object:os.system ls\n", "YAML tag `tag:yaml.org,2002:python/object:os.system`"),
        (b"a: 1\n---\nb: 2\n", "more than one document in a file"),
        (b"\ta: 1\n", "cannot start any token"),
        (b"a: [1,\n", "invalid YAML"),
        (b"a: \x00\n", "s.yaml:1:4: invalid control character (U+0000)"),
        (b"a: \xff\n", "s.yaml:1:4: invalid UTF-8 (byte 0xff)"),
        (b"\xef\xbb\xbfa: \xff\n", "s.yaml:1:4: invalid UTF-8 (byte 0xff)"),
        (b"a: " + b"x" * MAX_BYTES, "more than 500,000 bytes"),
        (b"a: " + b"[" * 100 + b"]" * 100, "too deep"),
        (b"? [1]\n: 2\n", "invalid key: it must be text"),
    ],
    ids=lambda v: v[:12].decode(errors="replace") if isinstance(v, bytes) else None,
)
def test_what_is_not_a_spec_is_refused_with_a_place(data, expected):
    assert expected in refusal(data)


def test_all_duplicate_keys_and_anchors_are_told_at_once():
    text = refusal(b"a: &x 1\nb: 2\nb: 3\nc: &y 4\n")
    assert text.count("s.yaml:") == 3


def test_a_terminal_is_not_obeyed():
    assert "\x1b" not in refusal("a: 1\na: '\u009b31m \u202e'\n".encode())


def test_carets_stand_under_wide_characters():
    lines = refusal("名字: 一\n名字: 二\n".encode()).splitlines()
    assert lines[2] == "     | ^^^^"


def test_byte_order_mark_and_crlf_are_fine():
    assert load_document(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "s").data == {"a": "1", "b": "2"}


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="ab:-{}[]&*!|>'\"#, \n\t01.e~?%", max_size=120).map(str.encode),
    )
)
def test_any_bytes_are_a_document_or_a_message(data):
    try:
        document = load_document(data, "s.yaml")
    except InvalidSpec as error:
        assert str(error).startswith("s.yaml:")
    else:
        assert isinstance(document.data, dict)
