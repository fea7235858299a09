"""`python -m tests.bench [NAME…] [--write]`: run measurements by name, or the quick ones.

`--write` puts what they print into the last section of tests/bench/README.md, with the day and the machine.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

QUICK = ("cli", "render", "sweep", "sharing", "manifests", "plan", "metrics", "checkpoints", "store")
PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- printed by `make bench` -->", "<!-- end -->"


class Tee(io.StringIO):
    """Keeps what is written and passes it on to the terminal."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()
        return super().write(text)


def measured(name: str) -> str:
    """Run one measurement and return what it printed."""
    printed = Tee()
    with contextlib.redirect_stdout(printed):
        importlib.import_module(f"tests.bench.{name}").main()
    return printed.getvalue()


def write(results: dict[str, str]) -> None:
    """Replace the last section of the page by the results."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    load = os.getloadavg()[0]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} at the end, Python {platform.python_version()}"
    blocks = [
        f"`python -m tests.bench {name}`\n\n```\n{text.strip()}\n```\n" for name, text in results.items()
    ]
    PAGE.write_text(f"{before}{BEGIN}\n{when}\n\n" + "\n".join(blocks) + f"{END}{after}")


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != "--write"] or QUICK
    results = {name: measured(name) for name in names}
    if "--write" in sys.argv[1:]:
        write(results)
