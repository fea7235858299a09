"""`expand`: what a spec means once everything is put together. Judges nothing: a wrong spec can be looked at, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli.output import write_folder
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.language.document import read_document
from c2f_spec.language.expansion import expand as expand_variants
from c2f_spec.language.suggestions import suggest
from c2f_spec.language.yaml_writer import render_spec, value_origins
from c2f_spec.spec.base import NAME_PATTERN

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from c2f_spec.language.document import Variant


HEADER = "# Written by `c2f-spec expand {} --out-dir`; not edited by hand.\n"


def expand(args: Namespace) -> int:
    name = args.specs[0]
    variants = expand_variants(read_document(Path(name), name), Path(name), args.settings).variants
    if args.check and not args.out_dir:
        raise UsageError(
            "`--check` needs `--out-dir`", hint="name the folder that holds the written variants"
        )
    if args.out_dir:
        return _files(variants, Path(args.out_dir), HEADER.format(name), check=args.check)
    if args.variant is None and args.output != "yaml" and not args.show_origin:
        _list(variants, args.output)
        return Exit.OK
    variant = _chosen(variants, args.variant)
    if args.show_origin:
        found = [(f"{path} = {value}", place) for path, value, place in value_origins(variant.document)]
        width = max((len(left) for left, _ in found), default=0)
        print("\n".join(sanitize(f"{left:<{width}}   {place}") for left, place in found))
    else:
        print(render_spec(variant.document.data), end="")
    return Exit.OK


def _chosen(variants: Sequence[Variant], name: str | None) -> Variant:
    if name is None and len(variants) == 1:
        return variants[0]
    found = next((v for v in variants if v.name == name), None)
    if found is None:
        message = f"no variant `{name}`" if name else f"{len(variants)} variants"
        names = [v.name for v in variants]
        raise UsageError(
            message,
            hint=suggest(name or "", names) or "choose one with --variant; `expand` lists them",
        )
    return found


def _list(variants: Sequence[Variant], form: str) -> None:
    if form == "name":
        print("\n".join(sanitize(v.name) for v in variants))
        return
    rows = [(v.name, ", ".join(f"{path}={value}" for path, value in v.differences)) for v in variants]
    output.table(("VARIANT", "DIFFERS IN"), rows)


def _files(variants: Sequence[Variant], folder: Path, header: str, *, check: bool) -> int:
    """Every variant as a file; files that were written for variants that are no more are removed."""
    for variant in variants:
        if not re.fullmatch(NAME_PATTERN, variant.name):
            raise UsageError(f"`{variant.name}` cannot be the name of a file", hint="`validate` tells more")
    wanted = {f"{v.name}.yaml": header + render_spec(v.document.data) for v in variants}
    return write_folder(folder, wanted, header, check=check, what="a variant")
