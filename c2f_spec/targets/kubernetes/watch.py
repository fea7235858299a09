"""Mirror a set of objects of the server by LIST and WATCH, for a level-triggered loop.

A watch that ended, broke or fell silent goes on from the last version received; when that version has expired (410)
everything is listed again. Each LIST and each reconnection wait with jitter, so that clients do not overload a server
that restarts. Nothing is missed: after any gap the mirror holds what LIST returns.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.errors import ApiError, Gone
from c2f_spec.targets.kubernetes.transport import JITTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.targets.kubernetes.client import Client, Resource, Watch

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0


class Mirror(Generic[T]):
    """Holds `items` by name. `keep` makes an item of an object when it arrives, or `None` to leave it out."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        labels: str,
        keep: Callable[[dict[str, Any]], T | None],
        changed: Callable[[], None],
    ) -> None:
        self._client, self._resource, self._labels = client, resource, labels
        self._keep, self._changed = keep, changed
        self.items: dict[str, T] = {}
        self.lists = 0
        """Number of times that everything was listed."""
        self._stopped = threading.Event()
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None
        self._version = ""
        self._broken: BaseException | None = None

    def load(self) -> None:
        """List once and watch nothing."""
        self._list()

    def start(self) -> None:
        """List once, in this thread, so that errors reach the caller; then watch in another. May be called after `stop`."""
        self._broken, self._stopped = None, threading.Event()
        self._list()
        name = f"watch {self._resource.plural}"
        self._thread = threading.Thread(target=self._follow, args=(self._stopped,), name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the error that ended the watch, if waiting does not repair it, such as a 403."""
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        self._stopped.set()
        if self._watch is not None:
            self._watch.close()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _follow(self, stopped: threading.Event) -> None:
        pause = FIRST_PAUSE
        while not stopped.is_set():
            began = time.monotonic()
            try:
                if not self._version:
                    self._list()
                    self._changed()
                self._read()
            except Gone:
                self._version = ""
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    self._broken = error
                    self._changed()
                    return
            except Unreachable:
                pass  # the next round tries again
            except BaseException as error:
                self._broken = error
                self._changed()
                raise
            lived = time.monotonic() - began > LONGEST_PAUSE
            pause = FIRST_PAUSE if lived else min(LONGEST_PAUSE, pause * 2)
            stopped.wait(JITTER.uniform(pause / 2, pause))

    def _list(self) -> None:
        found: dict[str, T] = {}
        version = ""
        while not version:
            # A page that came too late ends this list; the next one begins at the start.
            with contextlib.suppress(Gone):
                found.clear()
                for page in self._client.pages(self._resource, labels=self._labels):
                    for item in page["items"]:
                        self._put(found, item)
                    version = "" if page["metadata"].get("continue") else page["metadata"]["resourceVersion"]
        self.items, self._version = found, version
        self.lists += 1

    def _read(self) -> None:
        self._watch = self._client.watch(self._resource, since=self._version, labels=self._labels)
        if self._stopped.is_set():
            self._watch.close()
        for change in self._watch:
            self._version = change.object["metadata"]["resourceVersion"]
            if change.what == "BOOKMARK":
                continue
            if change.what == "DELETED":
                self.items.pop(change.object["metadata"]["name"], None)
            else:
                self._put(self.items, change.object)
            self._changed()

    def _put(self, items: dict[str, T], item: dict[str, Any]) -> None:
        value = self._keep(item)
        name = item["metadata"]["name"]
        if value is None:
            items.pop(name, None)
        else:
            items[name] = value
