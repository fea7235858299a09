"""Combine the runs of several seeds: mean and standard deviation over seeds, interval over clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from c2f_spec.metrics import bootstrap as boot
from c2f_spec.metrics.answers import to_arrays
from c2f_spec.metrics.by_sums import align, columns, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.answers import Policy
    from c2f_spec.metrics.by_sums import Rows
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap
    from c2f_spec.spec.reporting import Metric


class OverSeeds(NamedTuple):
    """A metric over seeds; accuracies and F1 are fractions. `None` where it is undefined for any seed."""

    mean: float | None
    deviation: float | None
    """Standard deviation (of a sample) over seeds; `None` for one seed."""
    interval: boot.Interval
    """95 % interval of the mean, over clips. Seeds are not drawn again."""
    each: tuple[float | None, ...]
    """The metric of each seed."""


def over_seeds(
    runs: Sequence[Rows], metrics: Sequence[Metric], dataset: Dataset, policy: Policy, bootstrap: Bootstrap
) -> Mapping[Metric, OverSeeds]:
    """Return each metric over the runs of all seeds. With `parsed_only`, a run counts on the clips that it answered.

    Raises `InvalidData` if the clips differ.
    """
    sides = [to_arrays(align(rows, runs[0], dataset)) for rows in runs]
    scopes = [side.parsed if policy == "parsed_only" else np.ones(len(side.true), bool) for side in sides]
    if not len(sides[0].true):
        return {metric: OverSeeds(None, None, None, (None,) * len(runs)) for metric in metrics}
    summands = {
        metric: [columns(side, metric, dataset, policy, s) for side, s in zip(sides, scopes, strict=True)]
        for metric in metrics
    }
    drawn = boot.sums([c for of_runs in summands.values() for run in of_runs for c in run], bootstrap)
    results, start = {}, 0
    for metric, of_runs in summands.items():
        width = len(of_runs[0])
        each = np.array(
            [values(np.array([[c.sum() for c in run]]), metric)[0] for run in of_runs], dtype=np.float64
        )
        resampled = [
            values(drawn[:, start + i * width : start + (i + 1) * width], metric) for i in range(len(runs))
        ]
        start += width * len(runs)
        defined = bool(np.isfinite(each).all())
        results[metric] = OverSeeds(
            float(each.mean()) if defined else None,
            float(each.std(ddof=1)) if defined and len(each) > 1 else None,
            boot.percentiles(np.mean(resampled, axis=0)) if defined else None,
            tuple(float(value) if np.isfinite(value) else None for value in each),
        )
    return results
