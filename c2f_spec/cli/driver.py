"""`driver`: the process of the driver's pod. Reads the plan it is named, and says what happens on stdout.

Its exit codes are those of the command; the Job's policy knows which of them another driver would end with, too.
"""

from __future__ import annotations

import platform
import signal
import time
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import WORDS, note
from c2f_spec.cli.report import write_report, written
from c2f_spec.errors import Exit, StalePlan, sanitize
from c2f_spec.execution.driver import Driver, Halted, Withdrawn
from c2f_spec.execution.notifications import Notifier
from c2f_spec.execution.run import save_plan
from c2f_spec.plan.code import bundle_name
from c2f_spec.plan.plan_file import from_json
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore

PATIENCE_SECONDS = 900.0
"""So long cluster may be away before the driver ends, to be started again by its Job."""


def driver(args: Namespace) -> int:
    """Exit 8 if a stage failed; 130 if it was asked to stop, and 7 if cluster or store stayed away: both go on later."""
    plan, objects, given = _opened(args.plan, args.digest)
    environment = plan.environment
    assert environment.kind == "kubernetes", "the digest says that this plan was made for a cluster"
    client = Client(find_access(), namespace=environment.namespace, patience=PATIENCE_SECONDS)
    identity = f"{platform.node()}-{uuid.uuid4().hex[:8]}"
    drives = Driver(plan, objects, client, identity, lease_seconds=args.lease, keep_plan_object=given)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: drives.halt())
    news = Notifier(plan, objects, note)
    events: dict[str, Event] = {}
    try:
        for event in drives.events():
            events[event.stage.key] = event
            _tell(event)
            news.on_event(event)
    except Halted:
        print("asked to stop; what runs goes on, and so does the next driver", flush=True)
        return Exit.INTERRUPTED
    except Withdrawn:
        print("the plan was withdrawn; nothing more is started", flush=True)
        drives.finish()
        return Exit.OK
    _afterwards(plan, objects)
    news.on_end(events.values())
    drives.finish()
    return Exit.STAGE_FAILED if any(e.status == "failed" for e in events.values()) else Exit.OK


def _opened(where: str, digest: str) -> tuple[Plan, ObjectStore, bool]:
    """The plan, its store, and whether it came with the pod and not from the store. Raises `Stale`, `Unreachable`."""
    name = f"plans/{digest}/plan.json"
    given = not where.endswith(name)
    if given:
        data: bytes | None = Path(where).read_bytes()
    else:
        objects = open_store(where.removesuffix(f"/{name}"))
        data = objects.read(name)
    if data is None:
        raise StalePlan(f"{where} is not in the store", hint="`c2f-spec apply` puts it there")
    plan = from_json(data, where)
    if plan.digest != digest:
        raise StalePlan(f"{where} has the digest {plan.digest}, not {digest}", hint="render the driver again")
    if given:
        objects = open_store(plan.environment.store)
        _bring(Path(where).parent, plan, objects)
    return plan, objects, given


def _bring(folder: Path, plan: Plan, objects: ObjectStore) -> None:
    """What came with the pod into the store, where stages look for it."""
    for digest in {stage.code for stage in plan.stages}:
        objects.create(bundle_name(digest), (folder / f"{digest}.zip").read_bytes())
    save_plan(plan, objects)


def _tell(event: Event) -> None:
    now = time.strftime("%H:%M:%S")
    text = f"{now} {WORDS[event.status]:<9} {event.stage.name:<20} {event.stage.label}  {event.detail}"
    print(sanitize(text.rstrip()), flush=True)


def _afterwards(plan: Plan, objects: ObjectStore) -> None:
    """The report and the metrics; neither changes how the plan ended."""
    try:
        print(f"report: {write_report(plan, objects, None)}", flush=True)
    except Exception:  # noqa: BLE001  the stages are done, and another driver would end in the same way
        traceback.print_exc()
        note("the report could not be written; `c2f-spec report` tries again")
    if plan.environment.tracking is not None:
        from c2f_spec.execution.tracking import track_new

        if problem := track_new(plan, objects, plan.environment.tracking, lambda: written(plan, objects)):
            note(problem)
