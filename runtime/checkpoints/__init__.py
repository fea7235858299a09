"""Training that goes on after an interruption, to the same bits (DESIGN: "Runtime contract").

    manifest.py    what a checkpoint is in the store, and how a damaged one is known
    tensors.py     tensors to safetensors files of bounded size, and back
    generators.py  the random states of a rank
    parts.py       what ZeRO leaves to one rank
    snapshot.py    a trainer's state as tensors and JSON, and back into a trainer
    saver.py       writing, storing and retiring them, beside the training
    find.py        the newest one that is whole

`runtime.training.checkpoint_callback` decides when one is taken, `runtime.training.resumable` is where a trainer takes it up.
None of it may change what training computes: tests hold that an interrupted run ends in the bits of one that was not,
and so this package is in no stage's key (`c2f_spec.plan.code`).
"""
