"""The values that this version's runtime supports; the rest is refused by name, and nothing is accepted and ignored.

The schema is ahead of the runtime: specs for the real models can be written, reviewed and planned. Both sides read
this one table, so they cannot drift: `apply` refuses a spec at the line of a field that is not here (`validate` notes
it), and a stage refuses a section that holds one (`runtime/process/context.py`).

Whole kinds are sets below, held by a test against the runtime's own registries. Values of fields are in `VALUES`: a
path names a field of the spec, `*` any one part of it, and its values are what runs. A field that is not in the table
does what its description says, whatever its value. To implement one, write it and delete its line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.spec.base import SpecModel

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDENTS: frozenset[str] = frozenset({"tiny", "qwen_omni"})
TEACHERS: frozenset[str] = frozenset({"lexicon", "openai", "vllm", "transformers"})

DEMO_STUDENTS: frozenset[str] = frozenset({"tiny"})
DEMO_TEACHERS: frozenset[str] = frozenset({"lexicon"})

ABSENT = (None,)

VALUES: dict[str, tuple[Any, ...]] = {
    "media.decoder": ("decord", "av"),
    # A chain that cannot be read has nothing to go on with, and is asked for again whatever is said.
    "filters.format.on_fail": ("drop", "retry"),
    # Known when all chains are there, which is too late to ask again.
    "filters.dedup.on_fail": ("drop", "flag"),
    "filters.judge.on_fail": ("drop", "flag"),
    "grpo.hint.content.kind": ("polarity",),
    "grpo.hint.placement": ("in_answer",),
    "grpo.hint.level.kind": ("fixed",),
    "grpo.hint.forced_loss.mode": ("mask", "policy_gradient", "sft"),
    "evaluate.engine.mode": ("colocate",),
    "evaluate.engine.url": ABSENT,
}
"""Path of a field to the values that run. Every default does: a test holds that."""


def unsupported(section: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of every unsupported field under `section`; `at` is the section's own path."""
    if not isinstance(section, SpecModel):
        return
    for name, value in section:
        path = (*at, name)
        runs = supported_values(path)
        if runs is not None and value not in runs:
            yield path, value
        else:
            yield from unsupported(value, path)


def supported_values(path: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Return the supported values of a field; `None` if all are."""
    exact = VALUES.get(".".join(path))
    if exact is not None:
        return exact
    return next((VALUES[p] for n in range(len(path)) if (p := _starred(path, n)) in VALUES), None)


def _starred(path: tuple[str, ...], n: int) -> str:
    return ".".join((*path[:n], "*", *path[n + 1 :]))


def format_value(value: Any) -> str:
    """Return a value as a message has it."""
    if isinstance(value, SpecModel):
        return "a map"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
