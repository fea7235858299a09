"""The command `c2f-spec`."""

from __future__ import annotations

import sys


def main() -> int:
    from c2f_spec.cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
