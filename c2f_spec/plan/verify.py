"""Verify that a stored result comes from what was planned: each link that can be checked, with its difference.

    spec → key → stage.json → the runtime that read it → its code and image → the files of its output

The key binds spec, code, data and inputs. The record says which stage.json the runtime read, where, with what code
(`runtime/process/self_report.py`), and the digest of every file. Where a stage runs is in no key, so a stage that would now be placed
otherwise `moved`, which is named and no fault. What nobody recorded or remembers is `unknown`, which is none either.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.keys import flatten, stage_digest
from c2f_spec.plan.code import versions
from c2f_spec.plan.explain import format_value
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.handoff import Record, StageFile
    from c2f_spec.store.protocol import ObjectStore

State = Literal["equal", "moved", "different", "unknown"]


class Check(NamedTuple):
    """The outcome for one link of a stage."""

    link: str
    state: State
    detail: str


class Evidence(NamedTuple):
    """The image and manifest of a stage that its target still has."""

    image: str | None = None
    """Name and digest of the image that the container ran, as the node says."""
    manifest: str | None = None
    """Digest in the Job that is there."""
    rendered: str | None = None
    """Digest of the Job as it would be rendered now."""


def verify(
    stage: Stage, objects: ObjectStore, rendered: StageFile, accepted: Mapping[str, str], evidence: Evidence
) -> list[Check]:
    """Return the checks of all links of a done stage; none of another. `rendered` is its stage file as of now."""
    record = records.read_record(objects, stage.kind, stage.key)
    if record is None:
        return []
    found = [_preimage(stage, objects), _stage_file(record, rendered), _code(stage, record, accepted)]
    return [*found, *_manifest(evidence), *_image(record, evidence), _outputs(record, objects)]


def _preimage(stage: Stage, objects: ObjectStore) -> Check:
    data = objects.read(f"preimages/{stage.kind}/{stage.key}.json")
    if data is None:
        return Check("key", "unknown", "its preimage is not stored")
    if hashlib.sha256(data).hexdigest() != stage.key:
        return Check("key", "different", "the stored preimage is not what the key is the hash of")
    return Check("key", "equal", stage.key[:10])


def _stage_file(record: Record, rendered: StageFile) -> Check:
    """Compare the stage file of now with the one that the runtime recorded."""
    ran = record.provenance.get("ran", {})
    told = ran.get("stage_file")
    if told is None:
        return Check("stage.json", "unknown", "the runtime did not record it")
    digest = stage_digest(rendered)
    if digest == told:
        return Check("stage.json", "equal", f"{digest[:10]} as rendered")
    as_then = rendered.model_copy(
        update={"placement": rendered.placement.model_validate(ran["placement"]), "code": ran["bundle"]}
    )
    if stage_digest(as_then) != told:
        return Check("stage.json", "different", f"the runtime read {told[:10]}, which is not of this stage")
    return Check("stage.json", "moved", "; ".join(_moves(ran, rendered)))


def _moves(ran: dict[str, Any], rendered: StageFile) -> Iterator[str]:
    before = {**flatten(ran["placement"]), "bundle": ran["bundle"]}
    after = {**flatten(rendered.placement.model_dump(mode="json")), "bundle": rendered.code}
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield f"{path} {format_value(before.get(path))} -> {format_value(after.get(path))}"


def _code(stage: Stage, record: Record, accepted: Mapping[str, str]) -> Check:
    ran = record.provenance.get("ran", {})
    if "code" not in ran:
        return Check("code", "unknown", "the runtime did not record it")
    keyed = stage.preimage["code"]
    other = [
        f"{path} {keyed[path]} -> {new or 'none'}"
        for path, new in ran["code"].items()
        if (versions(new, accepted)[-1] if new else None) != keyed.get(path)
    ]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return Check("code", "different", f"what ran is not what is keyed: {', '.join(other[:3])}{more}")
    also = f", {len(ran['code'])} of them accepted as equal" if ran["code"] else ""
    return Check("code", "equal", f"{len(keyed)} files{also}")


def _manifest(evidence: Evidence) -> Iterator[Check]:
    if evidence.manifest is None:
        return
    same = evidence.manifest == evidence.rendered
    detail = f"{evidence.manifest[:10]} as rendered" if same else f"the Job has {evidence.manifest[:10]}"
    yield Check("manifest", "equal" if same else "moved", detail)


def _image(record: Record, evidence: Evidence) -> Iterator[Check]:
    planned = (record.provenance.get("ran", {}).get("placement") or {}).get("image")
    if planned is None:
        return  # a process of this machine
    if evidence.image is None:
        yield Check("image", "unknown", f"planned {planned}; no pod of it is left to ask")
        return
    same = planned.rpartition("@")[2] == evidence.image.rpartition("@")[2]
    detail = planned.rpartition("@")[2][:17] if same else f"planned {planned}, ran {evidence.image}"
    yield Check("image", "equal" if same else "different", detail)


def _outputs(record: Record, objects: ObjectStore) -> Check:
    try:
        records.verify(objects, record)
    except Unreachable as error:
        return Check("outputs", "different", error.message)
    size, n = sum(entry.size for entry in record.files.values()), len(record.files)
    return Check("outputs", "equal", f"{n} file{'' if n == 1 else 's'}, {size:,} bytes")
