"""The processes of a stage. `runtime/README.md` shows them in order.

    supervise.py     process 1: owns the workers, returns the exit code
    accounting.py    its ledger entry and the count of stops
    attempt_log.py   the log of an attempt, to stdout and to the store
    workers.py       starts the workers or torchrun, ends them when they hang, reads how they ended
    worker.py        one worker: inputs, stage, commit
    stage_file.py    reads stage.json and fetches the inputs
    self_report.py   versions and machine, for the record
    signals.py       SIGTERM and SIGINT in a worker, and at the death of its parent
    heartbeat.py     the time of a worker's last step
    context.py       what a stage runs with
    units.py         units of 64 clips, and the journal of rows
    parallel.py      one function over many items, in processes or threads

The stage itself is `runtime/stages/<kind>.py`.
"""
