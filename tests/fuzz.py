"""`python -m tests.fuzz [cases]`: hostile text by the thousand. Always an experiment or diagnostics, fast and small.

Four kinds of cases, from a seed that is printed: bytes, text of YAML's own characters, YAML of random structure, and
shipped specs with random edits. Time is CPU time: the limits are about the text, not about the machine's neighbours.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse

ROOT = Path(__file__).parent.parent
SPECS = [path.read_text() for path in sorted((ROOT / "specs").rglob("*.yaml"))]
WRONG = [path.read_text() for path in sorted((ROOT / "tests" / "bad").rglob("*.yaml"))]
SECONDS, MEGABYTES = 2.0, 200
HOSTILE = (
    "1e999", "-1e999", "nan", ".nan", ".inf", "-.inf", "-0.0", "0x10", "0o17", "010", "1_000", "1__0", "9" * 5000, "1e-400",
    "on", "off", "yes", "no", "~", "null", "''", "2024-01-01", "4:00:00", "1:30", "<<", "*x", "&x 1", "!!int 3", "!x y", "?",
    "-", "- -", "[", "]", "{", "}", "{}", "[]", "[[[]]]", "{a: {b: {c: 1}}}", "|", ">", "|+\n", "%", "@", "`", "#", ": ", "a: b: c",
    "\t", "\x00", "\x1b[31m", "\u202e", "\u200b", "\ufeff", "\u2028", "\x85", "с2f", "ｓｅｅｄ", "名字", "\U0001f4a5", '"\\ud800"',
    '"\\U00110000"', "'", '"', '"\\x', "$(id)", "${params.x}", "../../etc/passwd", "x" * 3000, "auto", "true", "c2f", "direct",
    "dc", "tiny", "local", "kubernetes", "lora", "ch-sims", "icwsm2014-nyt", "1.5", "-1", "0", "0.0", "1e-5", "3.0", "٣", "１２",
)  # fmt: skip


@dataclass
class Tally:
    """What came of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_case: str = ""


def judge(data: bytes, tally: Tally, kind: str) -> None:
    """One case; raises whatever is not a diagnostic, and `AssertionError` if it takes too long or is told badly."""
    start = time.process_time()
    try:
        document = load_document(data, "s.yaml")
        parse(document)
        what = "valid"
    except SpecErrors as error:
        what = "diagnostics"
        told = str(error)
        assert told.replace("\n", "").isprintable(), "a terminal would obey the message"
        assert len(told) < 200_000, f"a message of {len(told):,} characters"
        for item in error.diagnostics:
            tally.codes[item.code] += 1
            place = item.place
            assert 1 <= place.line <= len(place.text.lines), f"{place} is not in the text"
            assert 1 <= place.column <= len(place.text.line(place.line)) + 2, f"{place} is not in its line"
    except InvalidSpec as error:
        what = "diagnostics"
        tally.codes[error.code] += 1
    seconds = time.process_time() - start
    tally.counts[f"{kind}: {what}"] += 1
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_case = seconds, f"{kind}, {len(data):,} bytes, {data[:60]!r}"
    assert seconds < SECONDS, f"{seconds:.1f} s"


def any_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(200))


def yaml_text(rng: random.Random) -> bytes:
    return "".join(rng.choices("ab:-{}[]&*!|>'\"#, \n\t01.e~?%\\", k=rng.randrange(120))).encode()


def structure(rng: random.Random) -> bytes:
    """Well-formed more often than not: keys that the schema has, anywhere."""
    keys = [line.split(":")[0].strip(" {-") for line in "\n".join(SPECS).splitlines() if ":" in line]

    def node(depth: int) -> str:
        kind = rng.random()
        if depth > 4 or kind < 0.5:
            return rng.choice(HOSTILE)
        if kind < 0.8:
            return (
                "{"
                + ", ".join(f"{rng.choice(keys)}: {node(depth + 1)}" for _ in range(rng.randrange(5)))
                + "}"
            )
        return "[" + ", ".join(node(depth + 1) for _ in range(rng.randrange(5))) + "]"

    lines = [f"{rng.choice(keys)}: {node(0)}" for _ in range(rng.randrange(1, 10))]
    return ("c2f: v1\nname: x\n" * rng.randrange(2) + "\n".join(lines) + "\n").encode(errors="surrogatepass")


def mutant(rng: random.Random) -> bytes:
    """A spec with one to six edits of the kind that people and their tools make, and attackers."""
    lines = rng.choice(SPECS if rng.random() < 0.75 else WRONG).splitlines()
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        at = rng.randrange(len(lines)) if lines else 0
        edit = rng.randrange(9)
        if not lines or edit == 0:
            lines.insert(at, rng.choice(HOSTILE))
        elif edit == 1:
            del lines[at]
        elif edit == 2:
            lines.insert(at, lines[at])
        elif edit == 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif edit == 4:
            lines[at] = " " * rng.randrange(5) + lines[at]
        elif edit == 5:
            cut = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + rng.choice(HOSTILE) + lines[at][cut:]
        elif edit == 6 and ":" in lines[at]:
            lines[at] = lines[at].split(":")[0] + ": " + rng.choice(HOSTILE)
        elif edit == 7:
            cut = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + lines[at][cut + rng.randrange(1, 4) :]
        else:
            words = lines[at].split(" ")
            rng.shuffle(words)
            lines[at] = " ".join(words)
    end = rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    return rng.choice(["", "", "", "\ufeff"]).encode() + end.join(lines).encode(
        rng.choice(["utf-8"] * 49 + ["utf-16"])
    )


KINDS = {"bytes": any_bytes, "yaml text": yaml_text, "structure": structure, "mutant": mutant}


def run(cases: int, seed: int) -> Tally:
    """A tenth bytes, a fifth text, the rest structure and mutants."""
    tally, rng = Tally(), random.Random(seed)
    plan = ["bytes"] + ["yaml text"] * 2 + ["structure"] * 3 + ["mutant"] * 4
    for i in range(cases):
        kind, data = plan[i % len(plan)], b""
        try:
            data = KINDS[kind](rng)
            judge(data, tally, kind)
        except BaseException:
            print(f"seed {seed}, case {i}, {kind}: {data[:2000]!r}", file=sys.stderr)
            raise
    return tally


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    tally = run(cases, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{cases:,} cases, seed {seed}: no traceback")
    for what, number in sorted(tally.counts.items()):
        print(f"  {what:<24} {number:7,}")
    print(f"  codes seen: {', '.join(f'{c} {n:,}' for c, n in sorted(tally.codes.items()))}")
    print(f"  slowest {tally.slowest * 1000:.0f} ms: {tally.slowest_case}")
    print(f"  peak memory {peak} MB")
    assert peak < MEGABYTES


if __name__ == "__main__":
    main()
