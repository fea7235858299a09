"""`init`: write a small valid spec to start from; `init environment`: an environment from the live cluster."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import c2f_spec
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.language.yaml_writer import render_section

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.targets.kubernetes.discovery import DiscoveredEnvironment


SCHEMA = Path(c2f_spec.__file__).parent / "schemas" / "v1.json"

TEMPLATE = """\
# yaml-language-server: $schema={schema}
#
# Check it:   c2f-spec validate {path}
# Plan it:    c2f-spec plan {path}
# Run it:     c2f-spec apply {path}
#
# The data set comes with `c2f-spec data add icwsm2014-movie --fetch`: human-rated sentences, with a voice and a face
# that are drawn from the rating. It shows the tool, not the science; specs/sims_hint.yaml is the paper's experiment.
c2f: v1
name: {name}
description: what it is for, and what you expect to see
environment: local # or a file of k8s/environments/; `--on NAME` overrides it

data:
  train: icwsm2014-movie
  limit: {{train: 400, valid: 50, test: 100}} # at most so many clips; leave it out for all
  render_seed: 7

format: c2f # polarity, then the chain of thought, then the score; `direct` is the baseline without
student: {{kind: tiny, hidden: 64, layers: 2}} # a toy; or {{model: Qwen/Qwen2.5-Omni-7B, revision: <40 hex digits>}}

# Sections decide the pipeline. Without teacher and filters: no chains. Without sft and grpo: the zero-shot row.
teacher: {{kind: lexicon}}
filters:
  polarity_match: {{}} # keep a chain only if its polarity is the label's
sft: {{epochs: 2, batch: 16, learning_rate: 3e-3}}
grpo:
  steps: 10
  learning_rate: 3e-4
  max_new_tokens: 160
  hint: {{hard_policy: hint}} # `keep` and `drop` are the ablations

evaluate:
  checkpoints: [base, sft, grpo]
  datasets: [icwsm2014-movie]

seed: 42
"""


def init(args: Namespace) -> int:
    """Create the file. Raise `UsageError` instead of overwriting one."""
    match args.path:
        case ["environment"]:
            raise UsageError(
                "init environment: missing file", hint="name one, such as k8s/environments/mine.yaml"
            )
        case ["environment", name]:
            return init_environment(Path(name), args.namespace)
        case [] | [_] if args.namespace is None:
            path = Path(args.path[0] if args.path else "specs/experiment.yaml")
        case _:
            raise UsageError("init takes one file, or `environment` and one file")
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"`{path}` is not the name of a spec", hint="end it with .yaml")
    name = re.sub("[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:40].strip("-") or "experiment"
    schema = os.path.relpath(SCHEMA, path.parent) if SCHEMA.is_relative_to(Path.cwd()) else str(SCHEMA)
    text = TEMPLATE.format(schema=schema, path=path, name=name)
    _create(path, text)
    print(sanitize(f"wrote {path}; next: c2f-spec validate {path}"))
    return Exit.OK


def _create(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists, and is not overwritten", hint="name a new file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written: {error}") from None


HEAD = """\
# Written by `c2f-spec init environment` from the live cluster. Lines with <- are yours to decide;
# k8s/environments/a800.yaml shows the other fields, and `c2f-spec doctor {name}` checks it.
"""


def init_environment(path: Path, namespace: str | None) -> int:
    """Write the environment that the live cluster is. Without `namespace`, it is that of the kubeconfig's context."""
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.discovery import build_environment, discover
    from c2f_spec.targets.kubernetes.kubeconfig import find_access

    if path.suffix != ".yaml":
        raise UsageError(
            f"`{path}` is not the name of an environment", hint="end it with .yaml, below k8s/environments/"
        )
    if path.exists():
        raise UsageError(f"{path} exists, and is not overwritten", hint="name a new file")
    discovered = build_environment(discover(Client(find_access(), namespace=namespace)))
    _create(path, render_environment(discovered, path.stem))
    open_questions = f"{len(discovered.questions)} lines to decide"
    print(sanitize(f"wrote {path}, with {open_questions}; next: c2f-spec doctor {path.stem}"))
    return Exit.OK


def render_environment(discovered: DiscoveredEnvironment, name: str) -> str:
    """Return YAML, with each open question in a comment above its section."""
    parts = [HEAD.format(name=name)]
    for key, value in discovered.environment.items():
        if key in discovered.questions:
            parts.append(f"# <- {sanitize(discovered.questions[key])}\n")
        parts.append(render_section(key, value))
    return "".join(parts)
