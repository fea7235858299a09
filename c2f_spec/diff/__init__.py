"""Compare two sets of specs in stages: `sides.py` compiles each set, `compare.py` compares them.

Both sides are compiled by this program, each from its own specs, locks, environments and runtime; of two revisions, all
of that is read from the blobs of git (`git.py`). Pure: no store, no cluster, nothing executed.
"""
