"""`expand`: list, print or write the variants of a spec. It checks nothing, so that an invalid spec can be expanded too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import print_table, write_folder
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
        raise UsageError("`--check` needs `--out-dir`", hint="add the folder that holds the written variants")
    if args.out_dir:
        return _write_files(variants, Path(args.out_dir), HEADER.format(name), check=args.check)
    if args.variant is None and args.output != "yaml" and not args.show_origin:
        _print_list(variants, args.output)
        return Exit.OK
    variant = variants[choose_variant([v.name for v in variants], args.variant)]
    if args.show_origin:
        origins = [(f"{path} = {value}", place) for path, value, place in value_origins(variant.document)]
        width = max((len(left) for left, _ in origins), default=0)
        print("\n".join(sanitize(f"{left:<{width}}   {place}") for left, place in origins))
    else:
        print(render_spec(variant.document.data), end="")
    return Exit.OK


def choose_variant(names: Sequence[str], name: str | None) -> int:
    """Return the index of the variant that is named, or of the only one. Raise `UsageError` if there is none."""
    if name is None and len(names) == 1:
        return 0
    if name not in names:
        raise UsageError(
            f"the spec has no variant `{name}`" if name else f"the spec has {len(names)} variants",
            hint=suggest(name or "", names) or "choose one with --variant; `expand` lists them",
        )
    return names.index(name)


def _print_list(variants: Sequence[Variant], form: str) -> None:
    if form == "name":
        print("\n".join(sanitize(v.name) for v in variants))
        return
    rows = [(v.name, ", ".join(f"{path}={value}" for path, value in v.differences)) for v in variants]
    print_table(("VARIANT", "DIFFERS IN"), rows)


def _write_files(variants: Sequence[Variant], folder: Path, header: str, *, check: bool) -> int:
    """Write each variant to a file, and remove files of variants that the spec no longer has."""
    for variant in variants:
        if not re.fullmatch(NAME_PATTERN, variant.name):
            raise UsageError(f"`{variant.name}` cannot be the name of a file", hint="run `c2f-spec validate`")
    wanted = {f"{v.name}.yaml": header + render_spec(v.document.data) for v in variants}
    return write_folder(folder, wanted, header, check=check, what="a variant")
