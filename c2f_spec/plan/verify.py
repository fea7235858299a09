"""Does what is stored come from what was planned? Each link that can be checked, with the difference if it does not hold.

    spec → key → stage.json → the runtime that read it → its code and image → the files of its output

The key binds spec, code, data and inputs; the record says which stage.json the runtime read (`runtime/witness.py`), and
the digest of every file. What was not recorded, by an older version, is told as not known, which is no difference.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import Damaged
from c2f_spec.keys import content_key
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.objects import Objects


class Check(NamedTuple):
    """One link of a stage."""

    stage: Stage
    link: str
    state: str
    """`equal`, `different`, or `unknown`."""
    detail: str


def verify(stage: Stage, objects: Objects, accepted: Mapping[str, str], image: str | None) -> Iterator[Check]:
    """All links of a stage that is done; nothing of one that is not. `image` is the digest that the cluster says ran."""
    record = records.read_record(objects, stage.kind, stage.key)
    if record is None:
        return
    yield _preimage(stage, objects)
    yield from _stage_file(stage, record, objects)
    yield _code(stage, record, accepted)
    yield from _image(stage, record, image)
    yield _outputs(stage, record, objects)


def _preimage(stage: Stage, objects: Objects) -> Check:
    data = objects.read(f"preimages/{stage.kind}/{stage.key}.json")
    if data is None:
        return Check(stage, "key", "unknown", "its preimage is not stored")
    if content_key(json.loads(data)) != stage.key:
        return Check(stage, "key", "different", "the stored preimage is not what the key is the hash of")
    return Check(stage, "key", "equal", "the stored preimage has this key")


def _stage_file(stage: Stage, record: Record, objects: Objects) -> Iterator[Check]:
    """What was rendered, and what the runtime says that it read."""
    told = record.provenance.get("ran", {}).get("stage_file")
    rendered = objects.read(f"{records.work_name(stage.kind, stage.key)}/stage.json")
    if told is None or rendered is None:
        missing = "the runtime did not record it" if told is None else "the rendered file is not stored"
        yield Check(stage, "stage.json", "unknown", missing)
        return
    digest = hashlib.sha256(rendered).hexdigest()
    if digest != told:
        yield Check(stage, "stage.json", "different", f"rendered {digest[:10]}, the runtime read {told[:10]}")
        return
    if content_key(json.loads(rendered)["preimage"]) != stage.key:
        yield Check(stage, "stage.json", "different", "it holds the preimage of another key")
        return
    yield Check(stage, "stage.json", "equal", f"{digest[:10]} was rendered and read")


def _code(stage: Stage, record: Record, accepted: Mapping[str, str]) -> Check:
    ran = record.provenance.get("ran", {})
    if "code" not in ran:
        return Check(stage, "code", "unknown", "the runtime did not record it")
    keyed = stage.preimage["code"]
    other = [
        f"{path} {keyed[path]} -> {new or 'none'}"
        for path, new in ran["code"].items()
        if _first(new, accepted) != keyed.get(path)
    ]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return Check(
            stage, "code", "different", f"what ran is not what is keyed: {', '.join(other[:3])}{more}"
        )
    said = f"{len(keyed)} files" + (f", {len(ran['code'])} of them accepted as equal" if ran["code"] else "")
    return Check(stage, "code", "equal", said)


def _first(digest: str | None, accepted: Mapping[str, str]) -> str | None:
    seen = set()
    while digest is not None and digest in accepted and digest not in seen:
        seen.add(digest)
        digest = accepted[digest]
    return digest


def _image(stage: Stage, record: Record, image: str | None) -> Iterator[Check]:
    planned = record.provenance.get("ran", {}).get("image")
    if planned is None:
        return  # a process of this machine
    if image is None:
        yield Check(
            stage, "image", "unknown", f"planned {planned}; the cluster does not know the pod any more"
        )
        return
    same = planned.rpartition("@")[2] == image.rpartition("@")[2]
    detail = planned.rpartition("@")[2][:17] if same else f"planned {planned}, ran {image}"
    yield Check(stage, "image", "equal" if same else "different", detail)


def _outputs(stage: Stage, record: Record, objects: Objects) -> Check:
    try:
        records.verify(objects, record)
    except Damaged as error:
        return Check(stage, "outputs", "different", error.message)
    size = sum(entry.size for entry in record.files.values())
    return Check(stage, "outputs", "equal", f"{len(record.files)} files, {size:,} bytes")
