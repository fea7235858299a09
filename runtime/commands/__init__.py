"""Commands of `python -m runtime …`, which the CLI starts as its children, and two that run in pods (shell, weights)."""

from __future__ import annotations

import argparse
from typing import NoReturn

from c2f_spec.errors import WrongUsage


class Parser(argparse.ArgumentParser):
    """A parser that raises `WrongUsage`, so that wrong usage is an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise WrongUsage(message, hint=self.format_usage().strip())
