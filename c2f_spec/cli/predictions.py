"""`data add NAME --predictions FILE`: predictions of another code base, staged and pinned for `evaluate.import`."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.here import here
from c2f_spec.errors import DataWrong, Exit, SpecInvalid, WrongUsage
from c2f_spec.spec.base import NAME_PATTERN
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace


def add_predictions(args: Namespace) -> int:
    """Every line is read before anything is stored."""
    from c2f_spec.metrics.imported import FILE, read_imported

    name, *more = args.names
    if more or not re.match(NAME_PATTERN, name):
        raise WrongUsage(
            f"`{' '.join(args.names)}` is no name of predictions",
            hint="one, of lower-case letters, digits and -",
        )
    if name in DATASETS:
        raise WrongUsage(
            f"`{name}` is the name of a data set", hint="call them by the model, such as panda-gpt-sims"
        )
    try:
        rows = len(read_imported(Path(args.predictions)))
    except DataWrong as error:
        raise SpecInvalid(error.message, hint=error.hint) from error
    place = here(args)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        shutil.copyfile(args.predictions, folder / FILE)
        facts = {"name": name, "source": "predictions", "licence": "", "rows": rows}
        digest = records.add_dataset(place.objects, name, folder, facts)
    print(f"{name}: {rows:,} predictions, digest {digest[:10]}")
    place.pin("datasets", {name: digest})
    return Exit.OK
