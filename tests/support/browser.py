"""A headless Chromium, driven over its debugging protocol: pages are looked at where people look at them.

`browser()` is None where there is none: `chromium` of Debian, or what `C2F_CHROMIUM` names. Pictures of pages go to the
folder that `C2F_SCREENSHOTS` names, for people to look at; without it none is kept.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)  # fmt: skip
WAIT = 60.0
"""Seconds for an answer of the browser."""


def browser() -> str | None:
    """Path of the browser."""
    named = os.environ.get("C2F_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(
    browser() is None, reason="no Chromium: install Debian's `chromium`, or name one in C2F_CHROMIUM"
)


@contextmanager
def opened(scratch: Path) -> Iterator[Tab]:
    """An empty tab of a browser of its own, which ends with the block."""
    from websocket import create_connection

    path = browser()
    assert path, "ask browser() first"
    command = [path, *FLAGS, f"--user-data-dir={scratch}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port, address = _port(scratch / "DevToolsActivePort", process)
        main = Tab(create_connection(f"ws://127.0.0.1:{port}{address}", timeout=WAIT))
        target = main.ask("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(create_connection(f"ws://127.0.0.1:{port}/devtools/page/{target}", timeout=WAIT))
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.ask(f"{domain}.enable")
        yield tab
        tab.socket.close()
        main.socket.close()
    finally:
        process.terminate()
        process.wait(20)


def _port(file: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        assert process.poll() is None, "the browser ended"
        if file.is_file() and len(lines := file.read_text().split()) == 2:
            return lines[0], lines[1]
        time.sleep(0.05)
    raise TimeoutError("the browser opened no port")


@dataclass
class Tab:
    """One page. `events` are all that it told since the last `open`."""

    socket: Any
    events: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer. Raises `AssertionError` with its words if it says no."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(
        self, page: Path, *, width: int = 1200, height: int = 900, dark: bool = False, media: str = ""
    ) -> None:
        """Show a file, and wait until it is loaded."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.ask("Page.navigate", url=page.resolve().as_uri())
        end = time.monotonic() + WAIT
        while not self.run("document.readyState === 'complete' && location.href !== 'about:blank'"):
            assert time.monotonic() < end, "the page did not load"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited. Raises `AssertionError` with what the script threw."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + WAIT
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never: {script}"
            time.sleep(0.02)
        return value

    def click(self, selector: str, number: int = 0) -> None:
        """Click the element of that number among those that the selector finds."""
        self.run(f"document.querySelectorAll('{selector}')[{number}].click()")

    def texts(self, selector: str) -> list[str]:
        return self.run(f"[...document.querySelectorAll('{selector}')].map((e) => e.textContent)")

    def search(self, words: str) -> None:
        """Type into the field of the page that searches its rows."""
        self.run(
            "(() => { const box = document.querySelector('input[type=search]');"
            f" box.value = '{words}'; box.dispatchEvent(new Event('input')); }})()"
        )

    def complaints(self) -> list[str]:
        """What the page logged as an error: exceptions, and what its policy refused."""
        self.run("0")
        told = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        return told + [
            str(e["params"]["exceptionDetails"])
            for e in self.events
            if e["method"] == "Runtime.exceptionThrown"
        ]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, but itself and what is inside it."""
        asked = [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("data:", "blob:", "file:"))]

    def picture(self, name: str, *, whole: bool = False) -> None:
        """A screenshot into the folder of `C2F_SCREENSHOTS`, if there is one."""
        if not (folder := os.environ.get("C2F_SCREENSHOTS")):
            return
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def printed(self, name: str) -> bytes:
        """The page as a PDF, kept beside the screenshots."""
        data = base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])
        if folder := os.environ.get("C2F_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.pdf").write_bytes(data)
        return data
