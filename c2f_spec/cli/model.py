"""`model add`: released weights into the store, and their pin into the lock. A child process moves the bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli.runtime_process import asked
from c2f_spec.cli.workspace import here
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.language.lock_file import read_lock
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
HUBS = ("hf", "modelscope")
MOST_NAMED = 6


def model(args: Namespace) -> int:
    """Exit 4 if the staged files are not those that the lock pins."""
    name = _name(args)
    place = here(args)
    pin = read_lock(place.lock).models.get(name)
    if args.source in HUBS and pin in records.models_present(place.objects, name):
        print(f"{name}: staged before, digest {pin[:10]}")
        return Exit.OK
    where = ["--at", args.at] if args.at else []
    code, printed = asked("model", "add", name, "--store", place.store, "--from", args.source, *where)
    if code:
        return code
    staged = json.loads(printed)
    print(f"{name}: {staged['files']} files, {staged['bytes'] / 1e9:,.2f} GB, digest {staged['digest'][:10]}")
    if left := staged["left_out"]:
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        print(sanitize(f"left out: {', '.join(left[:MOST_NAMED])}{more}"))
    if pin not in (None, staged["digest"]):
        print(f"not pinned: {output.relative(place.lock)} has {pin[:10]}, a copy of other files")
        output.note(f"`c2f-spec lock --pin {name}={staged['digest'][:10]}` takes this one, and changes keys")
        return Exit.DIFFERENCE
    place.pin("models", {name: staged["digest"]})
    return Exit.OK


def _name(args: Namespace) -> str:
    """`repository@revision`."""
    if not REPOSITORY.fullmatch(args.repository):
        raise UsageError(
            f"`{args.repository}` is no repository", hint="owner/name, for example Qwen/Qwen2.5-Omni-7B"
        )
    if not COMMIT.fullmatch(args.revision):
        raise UsageError(
            f"`{args.revision}` is no commit: a branch or tag may mean other files tomorrow",
            hint="the 40 hex digits that the hub shows beside the branch",
        )
    if args.at and args.source not in HUBS:
        raise UsageError("`--at` is a hub's name for the revision", hint="leave it out with a folder")
    return f"{args.repository}@{args.revision}"
