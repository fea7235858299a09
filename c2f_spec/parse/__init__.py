"""`Document` → `Experiment`: the schema's complaints and the cross-checks, each at its place in the text."""
