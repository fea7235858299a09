"""`driver`: the process of the driver's pod. It reads the plan that is named, runs it, and prints events.

Its exit codes are those of the command; the Job's policy knows with which of them another driver would end too.
"""

from __future__ import annotations

import platform
import signal
import time
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note
from c2f_spec.cli.report import track, write_report
from c2f_spec.cli.run_output import status_word
from c2f_spec.errors import Exit, StalePlan, sanitize
from c2f_spec.execution.driver import Driver, Halted, Withdrawn
from c2f_spec.execution.notifications import Notifier
from c2f_spec.execution.run import save_plan
from c2f_spec.plan.code import bundle_name
from c2f_spec.plan.plan_file import from_json
from c2f_spec.spec.environment import has_pools
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore

PATIENCE_SECONDS = 900.0
"""Seconds that the cluster may be unreachable before the driver ends; its Job starts another."""


def driver(args: Namespace) -> int:
    """Exit 8 if a stage failed; 130 if the driver was asked to stop, 7 if cluster or store were unreachable: it can go on."""
    plan, store, from_pod = _open_plan(args.plan, args.digest)
    environment = plan.environment
    assert has_pools(environment), "the digest says that this plan was made for a cluster"
    client = Client(find_access(), namespace=environment.namespace, patience=PATIENCE_SECONDS)
    identity = f"{platform.node()}-{uuid.uuid4().hex[:8]}"
    running = Driver(plan, store, client, identity, lease_seconds=args.lease, keep_plan_object=from_pod)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.halt())
    notifier = Notifier(plan, store, note)
    events: dict[str, Event] = {}
    try:
        for event in running.events():
            events[event.stage.key] = event
            _print_event(event)
            notifier.on_event(event)
    except Halted:
        print("asked to stop; running stages go on, and so does the next driver", flush=True)
        return Exit.INTERRUPTED
    except Withdrawn:
        print("the plan was withdrawn; nothing more is started", flush=True)
        running.finish()
        return Exit.OK
    _report_and_track(plan, store)
    notifier.on_end(events.values())
    running.finish()
    return Exit.STAGE_FAILED if any(e.status == "failed" for e in events.values()) else Exit.OK


def _open_plan(where: str, digest: str) -> tuple[Plan, ObjectStore, bool]:
    """Return the plan, its store, and whether it came with the pod and not from the store.

    Raises `StalePlan` if it is missing or has another digest, `Unreachable` for the store.
    """
    name = f"plans/{digest}/plan.json"
    from_pod = not where.endswith(name)
    if from_pod:
        data: bytes | None = Path(where).read_bytes()
    else:
        store = open_store(where.removesuffix(f"/{name}"))
        data = store.read(name)
    if data is None:
        raise StalePlan(f"{where} is not in the store", hint="run `c2f-spec apply`, which stores it")
    plan = from_json(data, where)
    if plan.digest != digest:
        raise StalePlan(f"{where} has the digest {plan.digest}, not {digest}", hint="render the driver again")
    if from_pod:  # stages read code and plan from the store
        store = open_store(plan.environment.store)
        for code in {stage.code for stage in plan.stages}:
            store.create(bundle_name(code), Path(where).with_name(f"{code}.zip").read_bytes())
        save_plan(plan, store)
    return plan, store, from_pod


def _print_event(event: Event) -> None:
    stage = event.stage
    text = (
        f"{time.strftime('%H:%M:%S')} {status_word(event):<9} {stage.name:<20} {stage.label}  {event.detail}"
    )
    print(sanitize(text.rstrip()), flush=True)


def _report_and_track(plan: Plan, store: ObjectStore) -> None:
    """Write the report and send the metrics; neither changes how the plan ended."""
    try:
        print(f"report: {write_report(plan, store, None)}", flush=True)
    except Exception:  # noqa: BLE001  the stages are done, and another driver would end in the same way
        traceback.print_exc()
        note("the report could not be written; `c2f-spec report` tries again")
    track(plan, store, plan.environment.tracking)
