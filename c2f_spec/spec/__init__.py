"""The pydantic models of a spec, of an environment and of what a stage is given, and nothing else."""
