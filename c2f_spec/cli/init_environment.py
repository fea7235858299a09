"""`init environment`: the environment that the live cluster would be, with its open questions marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import Exit, WrongUsage, printable
from c2f_spec.expand.emit import section_text

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.targets.kubernetes.survey import Survey

HEAD = """\
# Written by `c2f-spec init environment` from what the cluster showed. Lines with <- are yours to decide;
# k8s/environments/a800.yaml says what else there is, and `c2f-spec doctor {name}` whether it fits.
"""


def init_environment(path: Path, namespace: str | None) -> int:
    """Never overwrites. Without `namespace`, that of the kubeconfig's context."""
    from c2f_spec.targets.kubernetes.access import find_access
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.survey import environment, look

    if path.suffix != ".yaml":
        raise WrongUsage(
            f"`{path}` is not the name of an environment", hint="it ends in .yaml, below k8s/environments/"
        )
    if path.exists():
        raise WrongUsage(f"{path} is there already, and is not overwritten", hint="name a new file")
    survey = environment(look(Client(find_access(), namespace=namespace)))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text(survey, path.stem))
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror}") from None
    print(
        printable(
            f"wrote {path}, with {len(survey.questions)} lines to decide; next: c2f-spec doctor {path.stem}"
        )
    )
    return Exit.OK


def text(survey: Survey, name: str) -> str:
    """YAML, each question in a comment above the section that it is about."""
    parts = [HEAD.format(name=name)]
    for key, value in survey.environment.items():
        if key in survey.questions:
            parts.append(f"# <- {printable(survey.questions[key])}\n")
        parts.append(section_text(key, value))
    return "".join(parts)
