"""Places to run stages. `base.py` has their protocols and the registry; one module a kind of target implements them."""
