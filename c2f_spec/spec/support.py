"""What this version's runtime does, so that the rest is refused by name before anything is submitted.

The schema is ahead of the runtime: specs for the real models can be written, reviewed and planned. `apply` refuses
what is not in these tables; a test holds them against the runtime's own registries, so the two cannot drift.
"""

from __future__ import annotations

READERS: frozenset[str] = frozenset({"icwsm2014"})
STUDENTS: frozenset[str] = frozenset({"tiny"})
TEACHERS: frozenset[str] = frozenset({"lexicon"})
TUNERS: frozenset[str] = frozenset({"full"})

DEMO_STUDENTS: frozenset[str] = frozenset({"tiny"})
DEMO_TEACHERS: frozenset[str] = frozenset({"lexicon"})
