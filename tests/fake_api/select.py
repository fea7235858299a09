"""Label and field selectors, as far as we use them."""

from __future__ import annotations

import re


def selected(item, query):
    """Whether an object is asked for."""
    labels = item["metadata"].get("labels") or {}
    terms = re.split(r",(?![^(]*\))", query.get("labelSelector") or "")
    fields = (query.get("fieldSelector") or "").split(",")
    return all(_label(t.strip(), labels) for t in terms if t) and all(_field(t, item) for t in fields if t)


def _label(term, labels):
    inside = re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term)
    if inside:
        values = {v.strip() for v in inside[3].split(",")}
        return (labels.get(inside[1]) in values) == (inside[2] == "in")
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return labels.get(key) == value
    return term.removeprefix("!") not in labels if term.startswith("!") else term in labels


def _field(term, item):
    path, _, value = term.replace("==", "=").partition("=")
    different = path.endswith("!")
    for part in path.removesuffix("!").split("."):
        item = (item or {}).get(part)
    return (str(item) == value) != different
