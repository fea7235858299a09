"""A plan as a Mermaid flowchart, which GitHub and GitLab draw in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.plan.model import Plan, Stage

MOST_NODES = 80
"""Beyond these, stages of a kind with the same action are one node: nobody reads more, and GitHub draws no more."""
STYLES = {
    "run": "fill:#fff3cd,stroke:#b58900,color:#111",
    "reuse": "fill:#e6f4ea,stroke:#2e7d32,color:#111",
    "follow": "fill:#e3f2fd,stroke:#1565c0,color:#111",
    "blocked": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "failed": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "unknown": "fill:#f5f5f5,stroke:#757575,color:#111",
}


def text(value: str) -> str:
    """`value` inside a quoted label, where nothing of it is syntax: whatever is not plainly a word becomes a code."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-/,()") else f"#{ord(c)};" for c in value)


def as_mermaid(plan: Plan) -> str:
    """The chart, without a fence."""
    single = len(plan.stages) <= MOST_NODES
    node_of: Callable[[Stage], str] = (lambda s: s.name) if single else (lambda s: f"{s.kind}-{s.action}")
    groups: dict[str, list[Stage]] = {}
    for stage in plan.stages:
        groups.setdefault(node_of(stage), []).append(stage)
    edges = dict.fromkeys(
        (node_of(plan.stage(key)), node_of(s)) for s in plan.stages for key in s.inputs.values()
    )
    lines = [_node(name, stages) for name, stages in groups.items()]
    lines += [f"{a} --> {b}" for a, b in edges if a != b]
    used = dict.fromkeys(s.action for s in plan.stages)
    lines += [f"classDef {action} {STYLES[action]}" for action in used]
    return "\n".join(["flowchart LR", *(f"  {line}" for line in lines)])


def _node(name: str, stages: list[Stage]) -> str:
    first = stages[0]
    what = first.label if len(stages) == 1 else f"{len(stages):,} of {first.kind}"
    return f'{name}["{text(what)}<br/>{_actions(stages)}"]:::{first.action}'


def _actions(stages: Iterable[Stage]) -> str:
    return ", ".join(dict.fromkeys(s.action for s in stages))
