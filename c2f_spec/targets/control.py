"""What people do to a plan that runs, the same for a machine and for a cluster.

Beside `Target` (base.py), which the loop needs: these look from outside, own nothing and are there for one command.
`tests/test_control.py` holds every place to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.targets.base import Status


class Control(Protocol):
    """A place where stages of a plan run, as `status`, `logs`, `cancel`, `retry`, `delete` and `shell` see it."""

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        """By key, where the stages are that the place knows of. Done and failed are the store's to say."""
        ...

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        """Lines of every attempt, oldest first, below a line that names it; with `follow`, until none comes any more."""
        ...

    def others(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        """By key, names of other plans that are running and need the stage."""
        ...

    def withdraw(self, plan: Plan) -> None:
        """Nothing of the plan is started any more; what runs goes on. Not an error if nobody drives it."""
        ...

    def cancel(self, stages: Sequence[Stage], say: Callable[[str], None]) -> None:
        """Ask them to save and stop, and wait until they have. `say` is told what is waited for."""
        ...

    def forgiven(self, plan: Plan) -> None:
        """Failures were forgiven, or made: whoever drives a plan that needs its stages should look again."""
        ...

    def belongings(self, plan: Plan, kept: Iterable[str]) -> list[str]:
        """What `delete` would remove, by name; stages with a key in `kept` stay."""
        ...

    def delete(self, plan: Plan, kept: Iterable[str], say: Callable[[str], None]) -> list[str]:
        """Remove all of that, wait until it is gone, and name what is not. The store is not touched."""
        ...

    def shell(self, plan: Plan, stage: Stage) -> str:
        """Start a place to look around in, as the stage has it, for two hours; the command that enters it."""
        ...
