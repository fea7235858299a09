"""Is a plan allowed? Rules of a site and a project in, a verdict for each rule out. Pure but for reading the files."""
