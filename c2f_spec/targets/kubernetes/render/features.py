"""What a version of Kubernetes can do, decided when an environment is compiled and never on the cluster.

From the enhancement proposals: on by default since the version that is named here (PLATFORM: "Kubernetes features").
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Features(NamedTuple):
    """Each either has a way to do without, or is refused where it is needed."""

    pod_replacement_policy: bool
    """1.29. Without it a pod that is still ending may overlap its successor: the store takes one result all the same."""
    backoff_limit_per_index: bool
    """1.29. Without it the indexes of a sharded stage share one limit, as many times as large."""
    native_sidecars: bool
    """1.29. Without it there is no server beside a stage: a teacher of kind `vllm` is refused."""
    rules_without_conditions: bool
    """1.29. Before, the schema wants `onPodConditions` in every rule of a failure policy, if only empty."""


@cache
def features(version: str) -> Features:
    """Of `1.34`, say."""
    minor = int(version.partition(".")[2])
    since_29 = minor >= 29
    return Features(since_29, since_29, since_29, since_29)
