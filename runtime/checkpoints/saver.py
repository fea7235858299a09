"""Store snapshots as checkpoints in a thread, so that training does not wait for disks and networks.

One upload runs at a time. A newer snapshot replaces one that still waits, so that a slow store means fewer checkpoints and
never a queue of them; at worst, training since the checkpoint before the running upload is lost.

A store that fails does not end the training: the failure is logged, and the next checkpoint tries again.

Where ZeRO leaves each rank a part of the state, each rank has a saver, and all get the same steps (`CheckpointCallback` ensures
that). Each stores its part; rank 0 gathers the results of all and then writes the manifest.
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
from runtime.checkpoints.manifest import (
    MANIFEST,
    Manifest,
    Retention,
    find_expired,
    list_checkpoints,
    verify_manifest,
)
from runtime.checkpoints.zero_partitions import rank_folder
from runtime.console import log_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.spec.resources import Zero
    from c2f_spec.store.protocol import ObjectStore
    from runtime.checkpoints.trainer_state import Snapshot


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """A snapshot to store, and what the manifest says of it."""

    snapshot: Snapshot
    total: int
    world: int
    score: float | None
    logs: dict[Path, int]
    """Files that only grow, and how many bytes of each belong to this step."""
    zero: Zero = "off"


Stored = dict[str, FileEntry] | str
"""The files of a rank in the store, or the reason why they are not there."""


@dataclass(frozen=True, slots=True)
class RankGroup:
    """The savers of all ranks, as one of them has them."""

    rank: int
    gather: Callable[[Stored], list[Stored]]
    """Returns the results of all ranks on rank 0, and an empty list on the others."""


class Saver:
    """Stores checkpoints. Its methods are called from one thread; `step` is that of the newest stored checkpoint."""

    def __init__(
        self,
        store: ObjectStore,
        stage: StageFile,
        attempt: str,
        scratch: Path,
        keep: Retention,
        group: RankGroup | None = None,
    ) -> None:
        """Make a saver and start its thread. `group` if every rank has a saver."""
        self.step = 0
        self._group = group
        self._store, self._stage, self._attempt = store, stage, attempt
        self._scratch, self._keep = scratch, keep
        self._waiting: SaveRequest | None = None
        self._busy = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        # A daemon: an upload that runs when the stage is done must not keep the process alive.
        threading.Thread(target=self._work, name="checkpoints", daemon=True).start()

    def offer(self, order: SaveRequest) -> None:
        """Store this snapshot next, instead of one that waits. Return at once; raise an error of the thread."""
        with self._changed:
            if self._error is not None:
                raise self._error
            self._waiting = order
            self._changed.notify_all()

    def idle(self) -> bool:
        """Return whether nothing waits and no upload runs. Raise an error of the thread."""
        with self._changed:
            if self._error is not None:
                raise self._error
            return self._waiting is None and not self._busy

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`, and return whether nothing waits and no upload runs."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._busy, seconds)

    def drop_waiting(self) -> None:
        """Drop the snapshot that waits."""
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
                self._error = error
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
        if self._group is None:
            parts: list[Stored] = [self._put(order, named.folder)]
        else:
            parts = self._group.gather(self._put_part(order, named.folder, self._group.rank))
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
        """Write this rank's files of a snapshot and store them below `name`."""
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
        """Store this rank's part, and return its files or the failure: the other ranks wait for either."""
        try:
            files = self._put(order, f"{name}/{rank_folder(rank)}")
        except (Unreachable, OSError) as error:
            return _reason(error)
        return {
            f"{rank_folder(rank)}/{path}": _below(rank_folder(rank), entry) for path, entry in files.items()
        }

    def _retire(self) -> None:
        """Delete expired checkpoints, each manifest first: a checkpoint with a manifest is complete."""
        for manifest in find_expired(self._stored(), self._keep):
            self._store.delete(f"{manifest.folder}/{MANIFEST}")
            for name in list(self._store.names(manifest.folder)):
                self._store.delete(name)

    def _stored(self) -> list[Manifest]:
        manifests = []
        for each in list_checkpoints(self._store, self._stage.kind, self._stage.key):
            try:
                manifests.append(verify_manifest(self._store, each, self._stage.kind, self._stage.key))
            except ValueError:
                continue  # `find_newest` logs why it is skipped, and `gc` removes it
        return manifests


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
