"""Turn the text of a spec into an `Experiment`: document, inheritance, templates, sweeps, schema and checks.

The language on top of the schema has five fields (`extends`, `template`, `with`, `params`, `sweep`) and no text
templating: whole values move, and each keeps the place where it was written, so that messages can point to it. The
language does not know the schema; its result is validated by `parse` like a file that was written in full.
"""
