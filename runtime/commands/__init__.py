"""argparse for the verbs that the compiler runs as a child: wrong usage is an error like any other."""

from __future__ import annotations

import argparse
from typing import NoReturn

from c2f_spec.errors import WrongUsage


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongUsage(message, hint=self.format_usage().strip())
