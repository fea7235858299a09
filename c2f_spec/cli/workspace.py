"""From the arguments of a verb to what it works on.

- `compile_work` compiles the specs that are named into a `Workspace`: plan, environment, store, target, control.
- `open_checkout` is for verbs that name no spec: the repository of the current folder with its store and lock.
- `find_stage` and `choose_stages` resolve the stages that are named; `run_runtime` starts the runtime for work that
  needs torch or media.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.output import note, print_diagnostics, relative
from c2f_spec.errors import Denied, Exit, StageExit, UsageError, sanitize
from c2f_spec.execution import provenance
from c2f_spec.language.lock_file import write_pins
from c2f_spec.plan.capabilities import unsupported_problems
from c2f_spec.plan.compile import (
    Loaded,
    compile_plan,
    environment_document,
    load_environment,
    load_variants,
    notes_of,
    place_warnings,
    refuse,
    repository,
    store_url,
    unpinned,
    unpinned_places,
    warnings,
    warnings_of,
)
from c2f_spec.plan.costs import with_measured
from c2f_spec.plan.pins import missing_copies, staged_copies, unstaged_problems
from c2f_spec.plan.reconcile import reconcile
from c2f_spec.store import ledger
from c2f_spec.store.open import open_store
from c2f_spec.targets.base import State, backend_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from c2f_spec.language.document import Document
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.pins import Staged
    from c2f_spec.policy.load import RuleResult
    from c2f_spec.spec.environment import Environment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Backend, Control, Target


@dataclass(frozen=True)
class Workspace:
    """The specs of one call, compiled for one environment. Store, target and control are opened when first used."""

    loaded: list[Loaded]
    plan: Plan
    environment: Environment
    root: Path
    """The repository of the specs."""
    environments: Path | None
    """The folder that is searched first for environments."""
    spec: str
    """The specs with their options, as the next command names the same plan."""

    @cached_property
    def store(self) -> ObjectStore:
        return open_store(store_url(self.environment, self.root))

    @property
    def backend(self) -> Backend:
        return backend_of(self.environment.kind)

    @cached_property
    def target(self) -> Target[Any]:
        return self.backend.open_target(self.environment, self.store, self.plan)

    @cached_property
    def control(self) -> Control:
        return self.backend.open_control(self.environment, self.store)

    @property
    def tracking(self) -> str | None:
        """Return the tracking URI of MLflow; a relative sqlite file starts at the repository, like the store."""
        uri, prefix = self.environment.tracking, "sqlite:///"
        if uri is None or not uri.startswith(prefix) or uri.startswith(f"{prefix}/"):
            return uri
        return f"{prefix}{self.root / uri.removeprefix(prefix)}"

    @property
    def environment_document(self) -> Document:
        """Return the file of the environment, for messages to point into."""
        return environment_document(self.plan.environment_name, self.root, self.environments)


def compile_work(args: Namespace, *, warn: bool = False, runnable: bool = False) -> Workspace:
    """Compile `args.specs`. With `warn`, print warnings: verbs over a plan that exists do not repeat them.

    With `runnable`, what this version does not run is an error, raised before what the store lacks for it. On a
    cluster the store is not read: names must be pinned in the lock, unless `args.offline` admits that they are not.

    Raises `InvalidSpec` with every problem, `UsageError` if the specs name different environments.
    """
    loaded: list[Loaded] = []
    for spec in args.specs:
        variants = load_variants(Path(spec), args.settings)
        if runnable:
            refuse(variants, lambda item: unsupported_problems(item.experiment))
        if warn:
            print_diagnostics([*warnings_of(variants), *notes_of(variants)])
        loaded += variants
    names = {args.on or item.experiment.environment for item in loaded}
    if len(names) > 1:
        raise UsageError(
            f"the specs name different environments: {', '.join(sorted(names))}", hint="choose one with --on"
        )
    name, root = names.pop(), loaded[0].root
    environment = load_environment(name, root, args.environments)
    staged: Staged | None = {}
    if getattr(args, "offline", False):
        staged = None
    elif not environment.requires_pins:
        staged = staged_copies(open_store(store_url(environment, root)), unpinned(loaded))
    plan = compile_plan(loaded, staged, environment, name, args.settings)
    if warn:
        _print_unpinned(loaded, staged, _name_specs(args, loaded))
        print_diagnostics(place_warnings(loaded, environment, name))
    return Workspace(loaded, plan, environment, root, args.environments, _name_specs(args, loaded))


def _print_unpinned(loaded: list[Loaded], staged: Staged | None, specs: str) -> None:
    """Print one block: which names are not pinned, where they stand, and the command that pins them."""
    rows = [
        (
            f"{place.text.path}:{place.line}",
            need.description,
            "" if staged is None else staged[need.name][0][:10],
        )
        for need, place in unpinned_places(loaded)
    ]
    if not rows:
        return
    count = "1 name is" if len(rows) == 1 else f"{len(rows):,} names are"
    effect = (
        "the keys of what needs them will change [C2F417]"
        if staged is None
        else "the one staged copy is taken [C2F418]"
    )
    note(f"warning: {count} not pinned in c2f.lock: {effect}")
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for where, what, digest in rows:
        note(f"  {where:<{widths[0]}}  {what:<{widths[1]}}  {digest}".rstrip())
    note(f"  hint: run `c2f-spec lock {specs}` to pin what is staged")


def _name_specs(args: Namespace, loaded: Sequence[Loaded]) -> str:
    """Return what the next command has to name to mean the same plan."""
    other = args.on and any(item.experiment.environment != args.on for item in loaded)
    settings = [word for setting in args.settings for word in ("--set", setting)]
    return shlex.join([*(["--on", args.on] if other else []), *settings, *map(str, args.specs)])


def annotate_plan(work: Workspace) -> Plan:
    """Return the plan with the actions that store and target decide, and the hours that its stages were measured to take."""
    plan = reconcile(work.plan, work.store, lambda s: work.target.state(s).state is State.RUNNING)
    return with_measured(plan, work.store)


def refuse_unstaged(work: Workspace, plan: Plan) -> None:
    """Raise `SpecErrors` at every name whose pinned files are not in the store. `plan` is annotated."""
    missing = missing_copies(work.store, plan)
    refuse(work.loaded, lambda item: [*unstaged_problems(item.experiment, missing)])


def warn_unstaged(work: Workspace, plan: Plan) -> None:
    """Print a warning at every name whose pinned files are not in the store. `plan` is annotated."""
    missing = missing_copies(work.store, plan)
    print_diagnostics(
        warnings(
            work.loaded,
            lambda item: [
                p._replace(severity="warning") for p in unstaged_problems(item.experiment, missing)
            ],
        )
    )


def check_policy(plan: Plan, root: Path, store: ObjectStore | None) -> list[RuleResult]:
    """Return the decision of every rule of the environment's policy; none without a policy.

    `root` is the repository of the specs, where the policy's path starts. Without `store`, budgets are not checked.
    """
    if plan.environment.policy is None:
        return []
    from c2f_spec.policy.check import PlannedUse, check_policy, has_budgets
    from c2f_spec.policy.load import load_policy

    levels = load_policy(root / plan.environment.policy, root, relative)
    user = plan.origin.author if plan.origin else provenance.read_origin(root, ()).author
    month = datetime.now(UTC).strftime("%Y-%m")
    spent = None
    if store is not None and has_budgets(levels):
        spent = ledger.read(store, None if has_budgets(levels, "total") else [month])
    return check_policy(levels, PlannedUse(plan, user, month, spent))


def broken_rules(decisions: Sequence[RuleResult]) -> list[RuleResult]:
    return [d for d in decisions if d.outcome == "broken"]


def refuse_broken_rules(plan: Plan, root: Path, store: ObjectStore | None) -> None:
    """Raise `Denied` with every rule of the policy that is broken."""
    if broken := broken_rules(check_policy(plan, root, store)):
        count = f"{len(broken)} rule{'s' * (len(broken) > 1)} of the policy"
        raise Denied("\n".join([f"denied by {count}", *map(printable_decision, broken)]))


def printable_decision(decision: RuleResult) -> str:
    return "\n".join(sanitize(line) for line in str(decision).splitlines())


def find_stage(plan: Plan, word: str) -> Stage:
    """Return the stage whose name, key or kind starts with `word`. Raise `UsageError` unless there is exactly one."""
    matches = [s for s in plan.stages if word in (s.name, s.key)] or [
        s for s in plan.stages if s.name.startswith(word) or s.key.startswith(word)
    ]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(s.name for s in (matches or plan.stages))
    raise UsageError(
        f"{'no stage' if not matches else f'{len(matches)} stages'} `{word}`", hint=f"name one of {names}"
    )


def choose_stages(plan: Plan, word: str | None) -> list[Stage]:
    """Return the stage that is named, or all."""
    return [find_stage(plan, word)] if word else list(plan.stages)


@dataclass(frozen=True)
class Checkout:
    """The repository of the current folder, with the store of an environment and the lock of its specs."""

    root: Path
    environment: Environment

    @property
    def store_url(self) -> str:
        return store_url(self.environment, self.root)

    @cached_property
    def store(self) -> ObjectStore:
        return open_store(self.store_url)

    @property
    def lock(self) -> Path:
        return self.root / "specs" / "c2f.lock"

    def write_pins(self, section: str, pins: Mapping[str, str]) -> None:
        """Pin digests in the lock and print it, where there is a folder for the lock."""
        if self.lock.parent.is_dir():
            write_pins(self.lock, section, dict(pins))
            print(f"pinned in {relative(self.lock)}")

    def accept_terms(self, names: Sequence[str]) -> None:
        """Write into the lock that the terms of these data sets were accepted, where there is a folder for it."""
        if names and self.lock.parent.is_dir():
            write_pins(self.lock, "terms_accepted", dict.fromkeys(names, "true"))
            print(f"terms accepted: {', '.join(names)} ({relative(self.lock)})")


def open_checkout(args: Namespace, environment: str | None = None) -> Checkout:
    """Open the checkout with `environment`, or that of `--on`, or `local`. Raise `InvalidSpec` for the environment."""
    root = repository(Path.cwd() / "specs")
    return Checkout(root, load_environment(environment or args.on or "local", root, args.environments))


def run_runtime(*argv: str, capture: bool = False) -> tuple[int, str]:
    """Run `python -m runtime`, a child process with the runtime's packages, and return its exit code as ours.

    The child prints its errors itself, and its answer too unless `capture` returns it instead.
    """
    command = [sys.executable, "-m", "runtime", *argv]
    child = subprocess.run(command, stdout=subprocess.PIPE if capture else None, text=True, check=False)
    code = child.returncode
    if code == StageExit.DATA:
        code = Exit.DIFFERENCE
    elif code not in (Exit.OK, Exit.USAGE, Exit.UNREACHABLE):
        code = Exit.UNEXPECTED
    return code, child.stdout or ""
