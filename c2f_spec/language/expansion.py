"""Expand a spec into its variants. A spec without inheritance, parameters and sweep is its own only variant.

The language is imported only if a spec uses it: most do not, and `validate` would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.files import DISK
from c2f_spec.language.document import LANGUAGE, MISSPELLED, Expansion, Variant, spec_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from c2f_spec.files import Files
    from c2f_spec.language.document import Document


def expand(document: Document, path: Path, arguments: Sequence[str] = (), files: Files = DISK) -> Expansion:
    """Return the variants of a spec that was read from `path` of `files`, with the `arguments` of `--set`.

    Raises `SpecErrors`.
    """
    if not arguments and not any(name in document.data for name in (*LANGUAGE, *MISSPELLED)):
        name = spec_name(document.data)
        return Expansion(name, (Variant(name, document),))
    from c2f_spec.language.variants import expand_variants

    return expand_variants(document, path, arguments, files)
