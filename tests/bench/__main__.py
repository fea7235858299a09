"""`python -m tests.bench [cli|render|learns|faults …]`: run measurements; without a name, the quick ones."""

from __future__ import annotations

import importlib
import sys

QUICK = ("cli", "render", "sweep", "sharing", "manifests", "plan", "metrics", "checkpoints", "store")

if __name__ == "__main__":
    for name in sys.argv[1:] or QUICK:
        importlib.import_module(f"tests.bench.{name}").main()
