"""Compile one typed YAML spec to a plan of stages, and run it.

The product is a file and a command, not a Python API, so nothing is re-exported here: the runtime imports
`c2f_spec.spec` in every container, and Python runs this module on the way.
"""

VERSION = "0.1.0"
