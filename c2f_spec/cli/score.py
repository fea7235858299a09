"""`score`: compute the metrics of a file of predictions, of any model. It needs no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace


def score(args: Namespace) -> int:
    # Set before numpy is imported: its threads wait by spinning. On a busy machine with two cores a million predictions
    # took seven times the processor time of one thread, and on an idle one there is little to gain.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from c2f_spec.metrics.predictions import score_file
    from c2f_spec.spec.evaluate import Bootstrap

    if args.bootstrap < 0:
        raise UsageError(f"--bootstrap {args.bootstrap}: out of range", hint="give a number, such as 1000")
    bootstrap = Bootstrap(resamples=args.bootstrap) if args.bootstrap else None
    result = score_file(Path(args.file), args.family, bootstrap)
    print(json.dumps(result, indent=1) if args.output == "json" else _table(result))
    return Exit.OK


def _table(result: dict[str, Any]) -> str:
    """Return a line a metric: by the primary policy, on the parsed clips only, and with 0 for what is not parsed."""
    coverage = "n/a" if result["coverage"] is None else f"{100 * result['coverage']:.1f} %"
    lines = [f"{result['n']:,} clips, {result['n_parsed']:,} with a prediction ({coverage})", ""]
    lines.append(f"{'':18}{'worst case':>12}{'parsed only':>13}{'neutral fill':>14}")
    for name, value in result["metrics"].items():
        others = result["parsed_only"][name], result["neutral_fill"][name]
        line = f"{name:18}{_format_value(name, value):>12}{_format_value(name, others[0]):>13}{_format_value(name, others[1]):>14}"
        if interval := result.get("intervals", {}).get(name):
            line += f"   95 % [{_format_value(name, interval[0])}, {_format_value(name, interval[1])}]"
        lines.append(line)
    more = {name: value for name, value in result["additional"].items() if name not in result["metrics"]}
    lines += ["", *(f"{name:18}{_format_value(name, value):>12}" for name, value in more.items())]
    return "\n".join(lines)


def _format_value(name: str, value: Any) -> str:
    """Return accuracies and F1 in percent, errors and correlations with three decimals."""
    from c2f_spec.report.numbers import count, percent, three

    if name.startswith("n_"):
        return count(value)
    return three(value) if name.startswith(("MAE", "Corr", "R_")) else percent(value)
