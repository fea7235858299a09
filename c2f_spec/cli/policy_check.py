"""What the policy of a plan's environment says of it, told, or raised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from c2f_spec.cli.output import relative
from c2f_spec.errors import Denied, sanitize
from c2f_spec.execution import provenance
from c2f_spec.store import ledger

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.plan.model import Plan
    from c2f_spec.policy.load import Verdict
    from c2f_spec.store.protocol import ObjectStore


def judged(plan: Plan, root: Path, objects: ObjectStore | None) -> list[Verdict]:
    """A verdict for each rule; none without a policy. `objects` has the ledger, if the store may be asked.

    `root` is the repository of the specs, where the policy's path starts.
    """
    if plan.environment.policy is None:
        return []
    from c2f_spec.policy.check import judge
    from c2f_spec.policy.limits import Asked, has_budgets
    from c2f_spec.policy.load import load_policy

    levels = load_policy(root / plan.environment.policy, root, relative)
    user = plan.origin.author if plan.origin else provenance.read_origin(root, ()).author
    month = datetime.now(UTC).strftime("%Y-%m")
    spent = None
    if objects is not None and has_budgets(levels):
        spent = ledger.read(objects, None if has_budgets(levels, "total") else [month])
    return judge(levels, Asked(plan, user, month, spent))


def broken(verdicts: list[Verdict]) -> list[Verdict]:
    return [v for v in verdicts if v.outcome == "broken"]


def refuse_broken(verdicts: list[Verdict]) -> None:
    """Raises `Denied` with every rule that is broken."""
    found = broken(verdicts)
    if found:
        count = f"{len(found)} rule{'s' * (len(found) > 1)} of the policy"
        raise Denied("\n".join([f"denied by {count}", *(printable_lines(v) for v in found)]))


def lines(verdicts: list[Verdict]) -> list[str]:
    """For the terminal: what is broken, what could not be checked, then a count."""
    if not verdicts:
        return []
    told = [f"{_word(v)}: {printable_lines(v)}" for v in verdicts if v.outcome != "kept"]
    counts = {o: sum(v.outcome == o for v in verdicts) for o in ("kept", "broken", "unchecked")}
    words = {"kept": "kept", "broken": "broken", "unchecked": "not checked"}
    parts = ", ".join(f"{n} {words[o]}" for o, n in counts.items() if n)
    return [*told, f"policy: {parts} of {len(verdicts)} rules"]


def _word(verdict: Verdict) -> str:
    return "denied" if verdict.outcome == "broken" else "not checked"


def printable_lines(verdict: Verdict) -> str:
    return "\n".join(sanitize(line) for line in str(verdict).splitlines())
