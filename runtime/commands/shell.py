"""Fetch the inputs of a stage, print where they are, and sleep: `python -m runtime.commands.shell stage.json`.

`c2f-spec shell` starts it in a pod of its own, which ends after two hours. Inputs are verified as for the stage. Nothing is
computed and nothing is written to the store.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from c2f_spec.errors import C2fError, StageExit
from c2f_spec.store.open import open_store
from runtime.process.stage_file import fetch_inputs, read_stage_file

SECONDS = 2 * 3600


def main(path: Path, seconds: float = SECONDS) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    stage = read_stage_file(path)
    print(f"stage     {stage.name}: {path}", flush=True)
    try:
        for role, folder in fetch_inputs(stage, open_store(stage.store)).items():
            print(f"{role:<9} {folder}", flush=True)
    except C2fError as error:
        print(f"inputs    {error}", flush=True)  # may be what the user wants to look at
    print(f"run it    {sys.executable} -m runtime {path}", flush=True)
    print(f"asleep for {seconds / 3600:.0f} h", flush=True)
    time.sleep(seconds)
    return StageExit.DONE


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
