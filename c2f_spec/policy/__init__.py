"""Check a plan against the rules of a site and a project. Pure but for reading the files."""
