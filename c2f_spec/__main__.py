"""`python -m c2f_spec` is the command `c2f-spec`."""

from __future__ import annotations

import sys

from c2f_spec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
