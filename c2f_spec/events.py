"""YAML text → parser events, by ruamel.yaml. Nothing is composed: a composer has already dropped what we report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TAG = 200


def tag_of(event: Any) -> str:
    """The explicit tag of a node as it was written, or nothing."""
    tag = str(getattr(event, "ctag", None))
    return "" if tag in ("None", "!") else tag


def events_of(content: str) -> Iterator[Any]:
    """Parser events of `content`. Long tags are cut: to decode one takes the square of its length."""
    from ruamel.yaml import YAML
    from ruamel.yaml.parser import Parser

    class BoundedParser(Parser):
        def select_tag_transform(self, tag: Any) -> None:
            if tag is not None and tag.suffix:
                tag.suffix = tag.suffix[:MAX_TAG]
            super().select_tag_transform(tag)

    yaml = YAML(typ="safe", pure=True)
    yaml.Parser = BoundedParser
    events: Iterator[Any] = yaml.parse(content)
    return events
