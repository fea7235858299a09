"""`lock`: pin the digests of the names in specs, or with `--check` report what is not pinned.

Pins come from copies that are staged in the store of each spec's environment, and from the images that the environment
names by digest. `--check` reads files of the repository and nothing else, so that it can run on a pull request.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli.output import note, relative
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


class Requirement(NamedTuple):
    """The names that one spec needs pinned for one environment."""

    spec: Path
    lock: Path
    root: Path
    environment: Environment
    environment_name: str
    needed: tuple[Need, ...]


def lock(args: Namespace) -> int:
    """Exit 4 with `--check` if a plan on a cluster would be refused, or would run another image than was pinned."""
    required = list(_requirements(args))
    return _check(required) if args.check else _pin_all(required, _parse_pins(args.pin))


def _requirements(args: Namespace) -> Iterator[Requirement]:
    """Yield one for every spec, those of `specs/` if none is named, and each environment that its variants name."""
    root = repository(Path.cwd() / "specs")
    paths = [Path(p) for p in args.specs] or sorted((root / "specs").glob("*.yaml"))
    if not paths:
        raise UsageError("there are no specs in specs/", hint="name them: `c2f-spec lock SPEC ...`")
    for path in paths:
        by_environment: dict[str, dict[str, Need]] = {}
        loaded = load_variants(path, args.settings)
        spec_root = loaded[0].root
        for item in loaded:
            needed = by_environment.setdefault(args.on or item.experiment.environment, {})
            needed |= {need.name: need for need in needs(item.experiment)}
        for name, needed in by_environment.items():
            environment = load_environment(name, spec_root, args.environments)
            lock_file = lock_path(path, spec_root)
            yield Requirement(path, lock_file, spec_root, environment, name, tuple(needed.values()))


def _check(required: list[Requirement]) -> int:
    """Print a line for each difference, with the specs that it concerns."""
    differences: dict[str, list[str]] = {}
    optional: dict[str, dict[str, None]] = {}
    """Names by lock whose environment takes the one staged copy instead."""
    for r in required:
        current, file = read_lock(r.lock), relative(r.lock)
        for need in _missing(r, current):
            if r.environment.requires_pins:
                text = f"{file}: {need.description} is not pinned, as {r.environment_name} requires"
                differences.setdefault(text, []).append(relative(r.spec))
            else:
                optional.setdefault(file, {})[need.description] = None
        for name, pin, used in other_images(current, r.environment):
            text = f"{file}: image `{name}` is pinned to {pin}, and {r.environment_name} has {used}"
            differences.setdefault(text, []).append(relative(r.spec))
    for file, names in optional.items():
        note(f"warning: {file}: not pinned, so the one staged copy will be taken: {', '.join(names)}")
    for text, specs in differences.items():
        more = f" and {len(specs) - 1} more" if len(specs) > 1 else ""
        print(sanitize(f"{text} ({specs[0]}{more})"))
    if not differences:
        print("the lock has what the specs need")
    return Exit.DIFFERENCE if differences else Exit.OK


def _missing(required: Requirement, current: Lock) -> list[Need]:
    return [need for need in required.needed if need.name not in pinned(need.section, current)]


def _pin_all(required: list[Requirement], chosen: dict[str, str]) -> int:
    """Pin what is missing and what is `chosen`, by name, and print a line for each."""
    lines: dict[str, None] = {}
    for r in required:
        current = read_lock(r.lock)
        wanted = {n.name: n for n in (*_missing(r, current), *(n for n in r.needed if n.name in chosen))}
        store = open_store(store_url(r.environment, r.root)) if wanted else None
        copies = staged_copies(store, wanted.values()) if store else {}
        for name, need in wanted.items():
            digest, problem = _choose_copy(copies[name], chosen.get(name))
            line = (
                _pin(r.lock, current, need.section, name, digest)
                if digest
                else f"{need.description} {problem}"
            )
            lines[line] = None
        for name, digest in images_of(r.environment).items():
            if current.images.get(name) != digest:
                lines[_pin(r.lock, current, "images", name, digest)] = None
    unknown = chosen.keys() - {need.name for r in required for need in r.needed}
    if unknown:
        raise UsageError(
            f"no spec needs `{min(unknown)}`", hint="--pin takes NAME=DIGEST, of what a spec names"
        )
    print("\n".join(line for line in lines if line) or "nothing to pin: the lock has what the specs need")
    return Exit.OK


def _parse_pins(pins: list[str]) -> dict[str, str]:
    """Return `--pin NAME=DIGEST` by name."""
    chosen = {}
    for pin in pins:
        name, _, digest = pin.rpartition("=")
        if not name or len(digest) < 6:
            raise UsageError(f"--pin {pin}: not NAME=DIGEST", hint="give six digits of the digest or more")
        chosen[name] = digest
    return chosen


def _choose_copy(copies: list[str], start: str | None) -> tuple[str | None, str]:
    """Return the one copy whose digest begins with `start`, or why there is not one."""
    matches = [c for c in copies if c.startswith(start or "")]
    if len(matches) == 1:
        return matches[0], ""
    if not copies:
        return None, "is not staged: not pinned"
    digests = ", ".join(c[:10] for c in copies)
    return None, f"has {len(copies)} staged copies: {digests}; choose one with --pin NAME=DIGEST"


def _pin(path: Path, current: Lock, section: str, name: str, digest: str) -> str:
    """Write a pin and return the line that says so; an empty one if the lock has it."""
    pins = {"datasets": current.datasets, "models": current.models, "images": current.images}
    before = pins[section].get(name)
    if before == digest:
        return ""
    write_pins(path, section, {name: digest})
    was = f" (was {before.removeprefix('sha256:')[:10]})" if before else ""
    return f"{relative(path)}: {name} is {digest.removeprefix('sha256:')[:10]}{was}"
