"""For verbs that name no spec: the repository of the current folder, its environment, store and lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli import show
from c2f_spec.lock import write_pins
from c2f_spec.plan.compile import load_environment, repository, store_url
from c2f_spec.store.objects import open_objects

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.environment import Environment
    from c2f_spec.store.objects import Objects


class Here(NamedTuple):
    root: Path
    environment: Environment

    @property
    def store(self) -> str:
        return store_url(self.environment, self.root)

    @property
    def objects(self) -> Objects:
        return open_objects(self.store)

    @property
    def lock(self) -> Path:
        return self.root / "specs" / "c2f.lock"

    def pin(self, section: str, pins: Mapping[str, str]) -> None:
        """Write and tell it, where there is a folder for the lock."""
        if self.lock.parent.is_dir():
            write_pins(self.lock, section, dict(pins))
            print(f"pinned in {show.relative(self.lock)}")

    def accept(self, names: Sequence[str]) -> None:
        """Note that the terms of these data sets were accepted, where there is a folder for the lock."""
        if names and self.lock.parent.is_dir():
            write_pins(self.lock, "terms_accepted", dict.fromkeys(names, "true"))
            print(f"terms accepted: {', '.join(names)} ({show.relative(self.lock)})")


def here(args: Namespace) -> Here:
    """By `--on` and `--environments`; without them `local`. Raises `SpecInvalid` for the environment."""
    root = repository(Path.cwd() / "specs")
    folder = Path(args.environments) if args.environments else None
    return Here(root, load_environment(args.on or "local", root, folder))
