"""Places to run stages. One module a target; `base.py` is what they have in common."""
