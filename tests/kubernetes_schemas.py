"""`python -m tests.kubernetes_schemas`: write the schemas of Kubernetes that `render` checks its objects against.

Out of the strict JSON schemas of `kubernetes-validate` (Apache 2.0, made from Kubernetes' own OpenAPI documents, Apache
2.0): the definitions that our kinds of objects reach, without prose. Most are the same in many versions, so each
distinct one is held once, and a version is a map from names to numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.targets.kubernetes.manifests.validation import KINDS, PATH

PROSE = ("description", "$schema", "$id", "format", "title")
REFERENCE = "/api/_definitions.json#/$defs/"


def source(version: str) -> dict[str, Any]:
    """All definitions of a version by name."""
    import kubernetes_validate

    base = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found: dict[str, Any] = json.loads(
        (base / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    )["$defs"]
    return found


def plain(node: Any, inside: str = "") -> Any:
    """Without prose and extensions; references to definitions as `#/$defs/NAME`."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if inside == "properties":
        return {name: plain(value) for name, value in node.items()}
    if "$ref" in node:
        return {"$ref": node["$ref"].replace(REFERENCE, "#/$defs/")}
    return {k: plain(v, k) for k, v in node.items() if k not in PROSE and not k.startswith("x-")}


def reached(definitions: dict[str, Any], roots: list[str]) -> list[str]:
    """Names of the definitions that `roots` lead to, and of themselves."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(definitions[name])
    return sorted(found)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
    return own + [name for value in node.values() for name in _references(value)]


def text() -> str:
    """The file's content, a definition a line."""
    numbers: dict[str, int] = {}
    versions = {}
    for version in VERSIONS:
        definitions = source(version)
        names = reached(definitions, list(KINDS.values()))
        versions[version] = {
            name: numbers.setdefault(
                json.dumps(plain(definitions[name]), sort_keys=True, separators=(",", ":")), len(numbers)
            )
            for name in names
        }
    lines = ",\n".join(numbers)
    maps = ",\n".join(f"{json.dumps(v)}:{json.dumps(m, separators=(',', ':'))}" for v, m in versions.items())
    return f'{{"versions":{{\n{maps}\n}},\n"definitions":[\n{lines}\n]}}\n'


if __name__ == "__main__":
    PATH.write_text(text())
    print(f"{PATH}: {PATH.stat().st_size:,} bytes")
