"""`model add`: stage released weights into the store and pin them. A child process transfers the bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note, relative
from c2f_spec.cli.workspace import open_checkout, run_runtime
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.language.lock_file import read_lock
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
HUBS = ("hf", "modelscope")
MOST_NAMES = 6
"""Files that were left out and are named."""


def model(args: Namespace) -> int:
    """Exit 4 if the staged files are not those that the lock pins."""
    name = _check_name(args)
    checkout = open_checkout(args)
    pin = read_lock(checkout.lock).models.get(name)
    if args.source in HUBS and pin in records.models_present(checkout.store, name):
        print(f"{name}: already staged, digest {pin[:10]}")
        return Exit.OK
    where = ["--at", args.at] if args.at else []
    source = ["--store", checkout.store_url, "--from", args.source, *where]
    code, answer = run_runtime("model", "add", name, *source, capture=True)
    if code:
        return code
    staged = json.loads(answer)
    print(f"{name}: {staged['files']} files, {staged['bytes'] / 1e9:,.2f} GB, digest {staged['digest'][:10]}")
    if skipped := staged["left_out"]:
        more = f" and {len(skipped) - MOST_NAMES} more" if len(skipped) > MOST_NAMES else ""
        print(sanitize(f"left out: {', '.join(skipped[:MOST_NAMES])}{more}"))
    if pin not in (None, staged["digest"]):
        print(f"not pinned: {relative(checkout.lock)} has {pin[:10]}, a copy of other files")
        note(f"`c2f-spec lock --pin {name}={staged['digest'][:10]}` takes this one, and changes keys")
        return Exit.DIFFERENCE
    checkout.write_pins("models", {name: staged["digest"]})
    return Exit.OK


def _check_name(args: Namespace) -> str:
    """Return `repository@revision`. Raise `UsageError` if one of them is invalid."""
    if not REPOSITORY.fullmatch(args.repository):
        raise UsageError(
            f"`{args.repository}` is not a repository",
            hint="name it as owner/name, for example Qwen/Qwen2.5-Omni-7B",
        )
    if not COMMIT.fullmatch(args.revision):
        raise UsageError(
            f"`{args.revision}` is not a full commit hash: a branch or tag may mean other files tomorrow",
            hint="give the 40 hex digits that the hub shows beside the branch",
        )
    if args.at and args.source not in HUBS:
        raise UsageError("`--at` is a hub's name of the revision", hint="remove it: --from is a folder")
    return f"{args.repository}@{args.revision}"
