"""Checkpoints of a training: taken, stored, verified and resumed, to the same bits (DESIGN: "Runtime contract").

    manifest.py          the layout of a checkpoint in the store, its manifest, how it is verified, and which expire
    trainer_state.py     a trainer's state as tensors and JSON, its random states, and back into a trainer
    zero_partitions.py   the part of the state that ZeRO leaves to one rank
    saver.py             a thread that writes and stores snapshots, and deletes expired checkpoints

`runtime.training.checkpoint_callback` decides when a checkpoint is taken; `runtime.training.train` restores one into a trainer.
Nothing here may change what training computes: tests hold that an interrupted run ends in the bits of one that was not
interrupted, and so this package is in no stage's key (`c2f_spec.plan.code`).
"""
