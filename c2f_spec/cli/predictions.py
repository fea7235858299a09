"""`data add NAME --predictions FILE`: predictions of another code base, staged and pinned for `evaluate.import`."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import show
from c2f_spec.errors import DataWrong, Exit, SpecInvalid, WrongUsage
from c2f_spec.lock import write_pins
from c2f_spec.plan.compile import load_environment, repository, store_url
from c2f_spec.spec.base import NAME_PATTERN
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records
from c2f_spec.store.objects import open_objects

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
    root = repository(Path.cwd() / "specs")
    environments = Path(args.environments) if args.environments else None
    environment = load_environment(args.on or "local", root, environments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        shutil.copyfile(args.predictions, folder / FILE)
        facts = {"name": name, "source": "predictions", "licence": "", "rows": rows}
        digest = records.add_dataset(open_objects(store_url(environment, root)), name, folder, facts)
    print(f"{name}: {rows:,} predictions, digest {digest[:10]}")
    lock = root / "specs" / "c2f.lock"
    if lock.parent.is_dir():
        write_pins(lock, "datasets", {name: digest})
        print(f"pinned in {show.relative(lock)}")
    return Exit.OK
