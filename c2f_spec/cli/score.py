"""`score`: the metrics of a file of predictions. Needs no torch, and nothing that made the predictions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace


def score(args: Namespace) -> int:
    # Before numpy: the threads of its products wait by spinning. On a busy machine with two cores a million predictions
    # took seven times the processor time of one thread, and on an idle one there is little to gain.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from c2f_spec.metrics.predictions import score_file
    from c2f_spec.spec.evaluate import Bootstrap

    if args.bootstrap < 0:
        raise UsageError(f"{args.bootstrap} resamples", hint="--bootstrap takes how many, such as 1000")
    bootstrap = Bootstrap(resamples=args.bootstrap) if args.bootstrap else None
    found = score_file(Path(args.file), args.family, bootstrap)
    print(json.dumps(found, indent=1) if args.output == "json" else _table(found))
    return Exit.OK


def _table(found: dict[str, Any]) -> str:
    """A line a metric: by the primary policy, on the parsed clips only, and with 0 for what could not be read."""
    coverage = "n/a" if found["coverage"] is None else f"{100 * found['coverage']:.1f} %"
    lines = [f"{found['n']:,} clips, {found['n_parsed']:,} with a prediction ({coverage})", ""]
    lines.append(f"{'':18}{'worst case':>12}{'parsed only':>13}{'neutral fill':>14}")
    for name, value in found["metrics"].items():
        others = found["parsed_only"][name], found["neutral_fill"][name]
        line = f"{name:18}{_shown(name, value):>12}{_shown(name, others[0]):>13}{_shown(name, others[1]):>14}"
        if interval := found.get("intervals", {}).get(name):
            line += f"   95 % [{_shown(name, interval[0])}, {_shown(name, interval[1])}]"
        lines.append(line)
    more = {name: value for name, value in found["additional"].items() if name not in found["metrics"]}
    lines += ["", *(f"{name:18}{_shown(name, value):>12}" for name, value in more.items())]
    return "\n".join(lines)


def _shown(name: str, value: Any) -> str:
    """Accuracies and F1 in percent, errors and correlations with three decimals."""
    from c2f_spec.report.numbers import count, percent, three

    if name.startswith("n_"):
        return count(value)
    return three(value) if name.startswith(("MAE", "Corr", "R_")) else percent(value)
