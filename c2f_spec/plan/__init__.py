"""`Experiment` → `Plan`: stages, keys, and what is left to do."""
