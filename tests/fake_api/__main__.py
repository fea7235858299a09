"""`python -m tests.fake_api [SECONDS]`: serve until standard input ends, each write SECONDS slower; prints the URL.

For measurements, which need a process apart.
"""

from __future__ import annotations

import sys

from tests.fake_api.server import FakeApi

if __name__ == "__main__":
    with FakeApi(write_delay=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0) as api:
        print(api.url, flush=True)
        sys.stdin.read()
