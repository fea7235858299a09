"""The runtime runs in containers and child processes: the stages, and what they use (`runtime/README.md`).

Imports `c2f_spec.{spec,keys,store,metrics,errors,masking,hardware_faults}` and nothing else of `c2f_spec`.
"""
