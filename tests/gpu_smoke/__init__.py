"""`python -m tests.gpu_smoke`: the first hour on GPUs, and a table of what passed. `--rehearse` does it here.

    __main__.py    what is run, in order
    place.py       the repository and the settings: yours, or for a rehearsal one with a tiny student in it
    kill.py        a training that is killed after its first checkpoint
    model.py       the student by itself, in a process of its own: its tokenizer, and gradients from sound and frames
    stages.py      rows about the stages, from their records and logs
    measured.py    memory and time against the estimate, and coefficients for the environment
    table.py       rows: pass, fail, or not run and why

The rehearsal runs specs/gpu_smoke.yaml itself, by the same code: with the released layout of a tiny student under the
real one's name, the demo's teacher, and transformers where there is no vLLM. What only a GPU can show is `not run`.
"""
