"""The command `c2f-spec`."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def main() -> int:
    from c2f_spec.cli.main import MODULES
    from c2f_spec.cli.main import main as run

    _no_plugins()
    if sys.argv[1:2] not in [[verb] for verb in MODULES]:
        return run(sys.argv[1:])
    # An editor or a hook waits for these verbs. Half of what they take beyond their imports would be to look for
    # garbage while importing, and to take the interpreter apart at the end.
    gc.disable()
    _no_cryptography()
    code = run(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)


def _no_plugins() -> None:
    """Pydantic loads plugins from all installed packages. They could change what is valid, so none is asked.

    The module is replaced because its import alone (of importlib.metadata, and with it email, socket and zipfile)
    takes a tenth of the time of `validate`. If pydantic ever moves it, this does nothing.
    """
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = lambda: ()  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)


def _no_cryptography() -> None:
    """Pydantic imports `secrets`, and with it OpenSSL, for types that no spec has: it is loaded when first used."""
    late = ModuleType("secrets")

    def load(name: str) -> Any:
        if sys.modules.get(late.__name__) is late:
            del sys.modules[late.__name__]
        return getattr(import_module(late.__name__), name)

    late.__getattr__ = load  # type: ignore[method-assign]
    sys.modules.setdefault(late.__name__, late)


if __name__ == "__main__":
    sys.exit(main())
