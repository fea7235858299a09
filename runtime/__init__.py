"""What runs in containers and child processes: the stages, and what they are made of (`runtime/README.md`).

Imports `c2f_spec.{spec,keys,store,metrics,errors,masking,hardware_faults}` and nothing else of `c2f_spec`.
"""
