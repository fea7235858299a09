"""The arguments of the verbs, a module a family. Nothing heavy: `--help` imports them all."""
