"""Snapshots → checkpoints in the store, in a thread of its own: training does not wait for disks and networks.

One is under way at a time. A newer snapshot takes the place of one that still waits, so that a slow store means fewer
checkpoints and never a queue of them; lost, at worst, is what was trained since the one before the upload under way.

A store that fails does not end the training: it is told, and the next checkpoint tries again.

Where ZeRO leaves each rank a part of the state, each has a saver, and all are offered the same steps (`Keeper` sees to
that). Each stores its part; rank 0 hears of all of them and then writes the manifest.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.store.digest import digest_folder
from runtime.checkpoints.manifest import MANIFEST, Manifest, Retention, find_expired, list_checkpoints
from runtime.checkpoints.resume import verify_manifest
from runtime.checkpoints.zero_partitions import rank_folder
from runtime.console import log_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.spec.resources import Zero
    from c2f_spec.store.protocol import ObjectStore
    from runtime.checkpoints.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """A snapshot, and what goes with it."""

    snapshot: Snapshot
    total: int
    world: int
    score: float | None
    logs: dict[Path, int]
    """Files that only ever grow, and how much of each belongs to this step."""
    zero: Zero = "off"


Stored = dict[str, FileEntry] | str
"""The files of a rank as the store has them, or why it has not."""


@dataclass(frozen=True, slots=True)
class RankGroup:
    """A saver among those of all ranks."""

    rank: int
    gather: Callable[[Stored], list[Stored]]
    """Brings rank 0 what all of them tell, and the others nothing."""


class Saver:
    """Used from one thread; `step` is the newest that is in the store."""

    def __init__(
        self,
        store: ObjectStore,
        stage: StageFile,
        attempt: str,
        scratch: Path,
        keep: Retention,
        together: RankGroup | None = None,
    ) -> None:
        """`together` if every rank has one."""
        self.step = 0
        self._together = together
        self._store, self._stage, self._attempt = store, stage, attempt
        self._scratch, self._keep = scratch, keep
        self._waiting: SaveRequest | None = None
        self._busy = False
        self._bug: BaseException | None = None
        self._changed = threading.Condition()
        # It may be under way when the stage is done, and must not keep the process.
        threading.Thread(target=self._work, name="checkpoints", daemon=True).start()

    def offer(self, order: SaveRequest) -> None:
        """Store this one next, instead of any that waits. Returns at once; raises what went wrong in the thread."""
        with self._changed:
            if self._bug is not None:
                raise self._bug
            self._waiting = order
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether all that was offered was dealt with. Raises what went wrong in the thread."""
        with self._changed:
            if self._bug is not None:
                raise self._bug
            return self._waiting is None and not self._busy

    def wait(self, seconds: float) -> bool:
        """Whether all that was offered was dealt with, within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._busy, seconds)

    def drop_waiting(self) -> None:
        """Do not begin another one."""
        with self._changed:
            self._waiting = None

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None)
                order, self._waiting, self._busy = self._waiting, None, True
            assert order is not None
            try:
                self._store_request(order)
            except (Unreachable, OSError) as error:
                _log_failure(order, _reason(error))
            except BaseException as error:  # noqa: BLE001  the training thread raises it
                self._bug = error
            del order  # its memory is needed for the next
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _store_request(self, order: SaveRequest) -> None:
        started = time.monotonic()
        step = order.snapshot.step
        named = Manifest(
            kind=self._stage.kind, key=self._stage.key, attempt=self._attempt, step=step, total=order.total,
            world=order.world, zero=order.zero, score=order.score, files={},
        )  # fmt: skip
        if self._together is None:
            parts: list[Stored] = [self._put(order, named.folder)]
        else:
            parts = self._together.gather(self._put_part(order, named.folder, self._together.rank))
            if not parts:
                return  # rank 0 goes on
        files: dict[str, FileEntry] = {}
        for part in parts:
            if isinstance(part, str):
                _log_failure(order, part)
                return
            files |= part
        whole = named.model_copy(update={"files": files})
        self._store.create(f"{whole.folder}/{MANIFEST}", whole.to_bytes())
        self.step = step
        log_line(f"checkpoint of step {step}: stored in {time.monotonic() - started:.1f} s")
        self._retire()

    def _put(self, order: SaveRequest, name: str) -> dict[str, FileEntry]:
        """Write what this rank has of a snapshot and store it below `name`."""
        folder = self._scratch / f"step-{order.snapshot.step}"
        shutil.rmtree(folder, ignore_errors=True)  # of an upload that failed
        folder.mkdir(parents=True)
        order.snapshot.write(folder)
        for path, size in order.logs.items():
            _copy_start(path, folder / path.name, size)
        files = self._store.put_folder(folder, name, digest_folder(folder))
        shutil.rmtree(folder, ignore_errors=True)
        return files

    def _put_part(self, order: SaveRequest, name: str, rank: int) -> Stored:
        """The others wait for a word, whatever became of it."""
        try:
            files = self._put(order, f"{name}/{rank_folder(rank)}")
        except (Unreachable, OSError) as error:
            return _reason(error)
        return {
            f"{rank_folder(rank)}/{path}": _below(rank_folder(rank), entry) for path, entry in files.items()
        }

    def _retire(self) -> None:
        """Manifests go first: what has one is whole."""
        for manifest in find_expired(self._stored(), self._keep):
            self._store.delete(f"{manifest.folder}/{MANIFEST}")
            for name in list(self._store.names(manifest.folder)):
                self._store.delete(name)

    def _stored(self) -> list[Manifest]:
        found = []
        for each in list_checkpoints(self._store, self._stage.kind, self._stage.key):
            try:
                found.append(verify_manifest(self._store, each, self._stage.kind, self._stage.key))
            except ValueError:
                continue  # not ours to judge: whoever resumes tells why it is passed over, and `gc` collects it
        return found


def _below(folder: str, entry: FileEntry) -> FileEntry:
    return entry.model_copy(update={"shard": f"{folder}/{entry.shard}"}) if entry.shard else entry


def _log_failure(order: SaveRequest, why: str) -> None:
    log_line(f"the checkpoint of step {order.snapshot.step} was not stored: {why}")


def _reason(error: Unreachable | OSError) -> str:
    return error.message if isinstance(error, Unreachable) else f"{error.strerror}: {error.filename}"


def _copy_start(source: Path, target: Path, size: int) -> None:
    with source.open("rb") as file, target.open("wb") as copy:
        left = size
        while left and (chunk := file.read(min(left, 1 << 20))):
            copy.write(chunk)
            left -= len(chunk)
