"""What runs in the containers: the stages, and what they are made of.

Imports `c2f_spec.{spec,keys,store,metrics,errors}` and nothing else of `c2f_spec`.
"""
