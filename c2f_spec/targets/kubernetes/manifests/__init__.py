"""Build the objects of Kubernetes that run a stage, as plain data. Pure: no network, no clock, no state.

Start at `prepare` in `stage.py`. `validation.py` checks the objects against the schemas of the environment's version of
Kubernetes, and `security.py` against its level of Pod Security.
"""
