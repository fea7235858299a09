"""`lock`: write down what the names in specs stand for, or with `--check` say where the lock falls short of them.

Pins come from copies that are staged in the store of each spec's environment, and from the images that the environment
names by digest. `--check` reads files of the repository and nothing else, so that it can run on a pull request.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli import output
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.language.lock_file import Lock, read_lock, write_pins
from c2f_spec.plan.compile import load_environment, load_variants, repository, store_url
from c2f_spec.plan.pins import images_of, lock_path, needs, other_images, pinned, staged_copies
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from c2f_spec.plan.pins import Need
    from c2f_spec.spec.environment import Environment


class Asked(NamedTuple):
    """What one spec asks of its lock."""

    spec: Path
    lock: Path
    root: Path
    environment: Environment
    place: str
    """The name of the environment."""
    needed: tuple[Need, ...]


def lock(args: Namespace) -> int:
    """Exit 4 with `--check` if a plan on a cluster would be refused, or would run another image than was pinned."""
    asked = list(_asked(args))
    return _check(asked) if args.check else _refresh(asked, _chosen(args.pin))


def _asked(args: Namespace) -> Iterator[Asked]:
    """For every spec, the experiments of `specs/` if none is named, and each environment that its variants name."""
    root = repository(Path.cwd() / "specs")
    paths = [Path(p) for p in args.specs] or sorted((root / "specs").glob("*.yaml"))
    if not paths:
        raise UsageError("there are no specs in specs/", hint="name them: c2f-spec lock SPEC...")
    folder = Path(args.environments) if args.environments else None
    for path in paths:
        found: dict[str, dict[str, Need]] = {}
        loaded = load_variants(path, args.settings)
        for item in loaded:
            place = found.setdefault(args.on or item.experiment.environment, {})
            place |= {need.name: need for need in needs(item.experiment)}
        for place_name, needed in found.items():
            environment = load_environment(place_name, loaded[0].root, folder)
            at = lock_path(path, loaded[0].root)
            yield Asked(path, at, loaded[0].root, environment, place_name, tuple(needed.values()))


def _check(asked: list[Asked]) -> int:
    """One line a difference, with the specs that it concerns."""
    differences: dict[str, list[str]] = {}
    for a in asked:
        held, shown = read_lock(a.lock), output.relative(a.lock)
        for need in _missing(a, held):
            text = f"{shown}: {need.what} is not pinned, as {a.place} needs"
            if not a.environment.requires_pins:
                output.note(f"warning: {shown}: {need.what} is not pinned; the one staged copy will be taken")
            else:
                differences.setdefault(text, []).append(output.relative(a.spec))
        for name, pin, used in other_images(held, a.environment):
            text = f"{shown}: image `{name}` is pinned to {pin}, and {a.place} has {used}"
            differences.setdefault(text, []).append(output.relative(a.spec))
    lines = [f"{text} ({_some(specs)})" for text, specs in differences.items()]
    print("\n".join(map(sanitize, lines)) or "the lock holds what the specs need")
    return Exit.DIFFERENCE if differences else Exit.OK


def _some(specs: list[str]) -> str:
    return specs[0] if len(specs) == 1 else f"{specs[0]} and {len(specs) - 1} more"


def _missing(asked: Asked, held: Lock) -> list[Need]:
    return [need for need in asked.needed if need.name not in pinned(need.section, held)]


def _refresh(asked: list[Asked], chosen: dict[str, str]) -> int:
    told: dict[str, None] = {}
    for a in asked:
        held = read_lock(a.lock)
        wanted = {n.name: n for n in (*_missing(a, held), *(n for n in a.needed if n.name in chosen))}
        copies = (
            staged_copies(open_store(store_url(a.environment, a.root)), wanted.values()) if wanted else {}
        )
        for name, need in wanted.items():
            digest, problem = _one_of(copies[name], chosen.get(name))
            told[_pin(a.lock, held, need.section, name, digest) if digest else f"{need.what} {problem}"] = (
                None
            )
        for name, digest in images_of(a.environment).items():
            if held.images.get(name) != digest:
                told[_pin(a.lock, held, "images", name, digest)] = None
    unknown = chosen.keys() - {need.name for a in asked for need in a.needed}
    if unknown:
        raise UsageError(f"no spec needs `{min(unknown)}`", hint="--pin NAME=DIGEST, of what a spec names")
    print("\n".join(line for line in told if line) or "nothing to pin: the lock holds what the specs need")
    return Exit.OK


def _chosen(pins: list[str]) -> dict[str, str]:
    """`--pin NAME=DIGEST` by name."""
    found = {}
    for pin in pins:
        name, _, digest = pin.rpartition("=")
        if not name or len(digest) < 6:
            raise UsageError(f"--pin {pin}: not NAME=DIGEST", hint="six digits of the digest or more")
        found[name] = digest
    return found


def _one_of(copies: list[str], start: str | None) -> tuple[str | None, str]:
    """The copy that is meant, or why none is."""
    fitting = [c for c in copies if c.startswith(start or "")]
    if len(fitting) == 1:
        return fitting[0], ""
    shown = ", ".join(c[:10] for c in copies)
    if not copies:
        return None, "is not staged: not pinned"
    return None, f"has {len(copies)} staged copies: {shown}; choose one with --pin NAME=DIGEST"


def _pin(path: Path, held: Lock, section: str, name: str, digest: str) -> str:
    """Write a pin and say so; nothing if it stands already."""
    before = {"datasets": held.datasets, "models": held.models, "images": held.images}[section].get(name)
    if before == digest:
        return ""
    write_pins(path, section, {name: digest})
    was = f" (was {before.removeprefix('sha256:')[:10]})" if before else ""
    return f"{output.relative(path)}: {name} is {digest.removeprefix('sha256:')[:10]}{was}"
