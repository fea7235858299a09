"""Codes 45x: environments that are clusters, and what is rendered for them."""

from __future__ import annotations

from c2f_spec.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F456": Entry(
        "a plan too large for Git",
        "`render --gitops` writes the plan and its code into a ConfigMap, so that a cluster that follows a Git "
        "repository needs nothing else. Kubernetes takes no object of more than 1 MiB.",
    ),
}
