"""A stage of a plan → the objects of Kubernetes that run it, as plain data. Pure: no network, no clock, no state.

`stage.py` has `prepare(plan, stage)`, which reads as the list of what is made; each part of a Job has a small module.
What it yields is checked against the schemas of the environment's version of Kubernetes (`schema.py`) and against its
level of Pod Security (`security.py`), and written as YAML that every parser reads alike (`emit.py`).
"""
