"""The code that a stage can reach, file by file: part of its key (DESIGN: "Stages, keys, plan").

Files are read as text and never imported. A file's digest is of its syntax tree without comments, docstrings and
formatting, written by our own walk: `ast.dump` differs between versions of Python, and the laptop that plans and the
image that runs need not have the same.

Two borders. A family's `__init__` (a dict of its members) is not followed: rewards, filters, data sets, teachers and
models enter only where the spec names them, so that adding or editing one re-runs what uses it and nothing else. And
`c2f_spec.{spec,store,keys,errors}` are left out: what they say enters a key by value, or they move bytes; with them
in, every new field of the schema would run everything again.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import c2f_spec

ROOT = Path(c2f_spec.__file__).resolve().parent.parent
FAMILIES = frozenset(f"runtime.{name}" for name in ("datasets", "filters", "models", "rewards", "teachers"))
FOLLOWED = ("runtime", "c2f_spec.metrics")


def code_of(kind: str, named: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Path to digest of every file that a stage of `kind` can reach; `named` are the members of families in use."""
    entries = [f"runtime.stages.{kind}"]
    entries += [f"runtime.{family}.{member}" for family, members in named.items() for member in members]
    reached: set[str] = set()
    waiting = [e for e in entries if _file(e)]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += [m for m in _imports(module) if m not in reached]
    return {_file_name(module): _digest(module) for module in sorted(reached)}


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _file_name(module: str) -> str:
    path = _file(module)
    assert path is not None
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(module: str) -> ast.Module:
    path = _file(module)
    assert path is not None
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of ours that `module` imports, anywhere in its text; a family's own module is a border."""
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return tuple(sorted(m for m in found if m.startswith(FOLLOWED) and m not in FAMILIES and _file(m)))


@cache
def _digest(module: str) -> str:
    """16 hex digits: enough to tell versions of one file apart."""
    return hashlib.sha256(repr(_plain(_tree(module))).encode()).hexdigest()[:16]


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples: no positions, no docstrings, nothing empty, nothing that versions add."""
    if isinstance(node, list):
        return tuple(_plain(item) for item in node)
    if not isinstance(node, ast.AST):
        return node if not isinstance(node, (bytes, complex)) else repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            value = [item for item in value if not _is_text(item)]  # noqa: PLW2901
        if value not in (None, []) and name not in ("kind", "type_comment", "type_ignores"):
            fields.append((name, _plain(value)))
    return (type(node).__name__, *fields)


def _is_text(node: ast.AST) -> bool:
    """A string that stands alone: a docstring, or a note below an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
