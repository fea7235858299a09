"""`Document` → variants: inheritance, templates, sweeps and `--set`, each value keeping the place where it was written.

The language on top of the schema is five fields (`extends`, `template`, `with`, `params`, `sweep`) and no text
templating: what moves is always a whole value at a location, so that a message can point to where it came from.
Nothing here knows the schema; what is put together is judged by `parse` like a file that was written whole.
"""
