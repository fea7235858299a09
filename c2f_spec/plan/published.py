"""Read the paper's Tables I to VII as it prints them, and find the rows that an experiment runs (METHOD 7, 9).

A row is matched with an experiment by training set, by what is left out, and by the checkpoint. The other rows are
models of other code bases.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.spec.formats import Direct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from c2f_spec.spec.experiment import Experiment


class Run(NamedTuple):
    """The checkpoint that this project runs for a row, of an experiment with these features."""

    checkpoint: str
    direct: bool = False
    hard_policy: str | None = "hint"
    """`None`: no GRPO is asked for."""


RUNS = {
    "C2F-Thinker(MOSI)": Run("grpo"),
    "C2F-Thinker(SIMS)": Run("grpo"),
    "Qwen2.5-Omni": Run("sft", direct=True, hard_policy=None),
    "CoT(Zero-shot)": Run("base", hard_policy=None),
    "CoT(SFT)": Run("sft", hard_policy=None),
    "CoT(SFT+RL)": Run("grpo"),
    "w/o Hint": Run("grpo", hard_policy="keep"),
    "w/ Hint": Run("grpo"),
    "w/o Hard": Run("grpo", hard_policy="drop"),
    "w/ Hard": Run("grpo"),
}
"""Rows by the paper's name of the model; the others cannot be run here."""


@cache
def printed_rows() -> tuple[dict[str, Any], ...]:
    """Return the rows as the paper prints them; where scanning or printing went wrong, with the corrected value."""
    return tuple(
        json.loads(files("c2f_spec.plan").joinpath("published.json").read_text(encoding="utf-8"))["rows"]
    )


def named_tables(e: Experiment) -> set[str]:
    """Return the tables of the paper that an experiment names."""
    return {table.kind for table in e.tables if table.kind != "own"}


def rows_of(experiments: Iterable[Experiment]) -> Iterator[tuple[Mapping[str, Any], Experiment, str]]:
    """Yield each row of the tables that an experiment names and runs: the row, the experiment, the checkpoint."""
    for e in experiments:
        for row in printed_rows():
            run = RUNS.get(row["model"])
            if (
                run is not None
                and row["table"] in named_tables(e)
                and runs_checkpoint(e, row["train"], row["test"], run)
            ):
                yield row, e, run.checkpoint


def runs_checkpoint(e: Experiment, train: str, test: str, run: Run) -> bool:
    """Return whether an experiment evaluates this checkpoint of a model that is trained like this."""
    if e.data.train != train or e.evaluate is None or test not in e.evaluate.datasets:
        return False
    policy = e.grpo.hint.hard_policy if e.grpo else None
    if run.checkpoint not in e.evaluate.checkpoints or isinstance(e.format, Direct) != run.direct:
        return False
    return run.hard_policy is None or policy == run.hard_policy
