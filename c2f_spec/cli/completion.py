"""`completion`: scripts for bash, zsh and fish, made from the parser, so that they know what it knows.

The scripts are static: completing starts no Python. Specs are completed as files; environments are read from
`k8s/environments` below the current folder, and from those that come with c2f-spec.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace

ENVIRONMENTS = "{ echo local; ls k8s/environments 2>/dev/null | sed -n 's/\\.ya*ml$//p'; }"


class Verb(NamedTuple):
    """A verb, or a verb of a verb (`data add`), as completion sees it."""

    path: str
    help: str
    verbs: list[str]
    options: dict[str, str]
    """Option → its help."""
    values: dict[str, str]
    """Option, or `""` for arguments → what it takes: words, or one of `SPEC`, `ENVIRONMENT`, `DIR`, `ANY`."""


def completion(args: Namespace) -> int:
    print({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](verbs()), end="")
    return Exit.OK


def verbs() -> list[Verb]:
    """Every verb of the parser, the empty one first."""
    from c2f_spec.cli.main import parser

    found: list[Verb] = []

    def walk(at: argparse.ArgumentParser, path: str, text: str) -> None:
        verb = Verb(path, text, [], {}, {})
        found.append(verb)
        for action in at._actions:  # noqa: SLF001  argparse has no other way to ask
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                helps = {a.dest: a.help or "" for a in action._choices_actions}  # noqa: SLF001
                for name, inner in action.choices.items():
                    verb.verbs.append(name)
                    walk(inner, f"{path} {name}".strip(), helps.get(name, ""))
                continue
            for option in action.option_strings:
                verb.options[option] = action.help or ""
            if action.nargs != 0:
                for option in action.option_strings or [""]:
                    verb.values.setdefault(option, _takes(action))

    walk(parser(), "", "")
    return found


def _takes(action: argparse.Action) -> str:
    if action.choices:
        return " ".join(str(c) for c in action.choices)
    name = str(action.metavar)
    if action.dest == "on":
        return "ENVIRONMENT"
    return "SPEC" if name in ("SPEC", "PATH") else "DIR" if name == "DIR" else "ANY"


def _case(verb: Verb) -> list[tuple[str, str]]:
    """Previous word → what completes after it."""
    return [(option, takes) for option, takes in verb.values.items() if option]


def bash(all_verbs: list[Verb]) -> str:
    words = {
        "SPEC": '_c2f_spec_files "$cur"',
        "ENVIRONMENT": f'COMPREPLY=($(compgen -W "$({ENVIRONMENTS})" -- "$cur"))',
        "DIR": 'COMPREPLY=($(compgen -d -- "$cur"))',
        "ANY": "COMPREPLY=()",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"COMPREPLY=($(compgen -W '{takes}' -- \"$cur\"))")

    out = [
        "# bash completion for c2f-spec: source <(c2f-spec completion bash)",
        "_c2f_spec_files() {",
        "    compopt -o filenames 2>/dev/null",
        '    COMPREPLY=($(compgen -d -- "$1") $(compgen -f -X "!*.y?(a)ml" -- "$1"))',
        "}",
        "_c2f_spec() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" verb="" word i',
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        '        word="${COMP_WORDS[i]}"',
        '        case "$verb $word" in',
    ]
    for verb in all_verbs[1:]:
        before, _, name = verb.path.rpartition(" ")
        out.append(f"            '{before} {name}') verb='{verb.path}' ;;")
    out += ["        esac", "    done", '    case "$verb:$prev" in']
    for verb in all_verbs:
        out += [f"        '{verb.path}:{o}') {give(t)}; return ;;" for o, t in _case(verb)]
    out += ["    esac", '    case "$verb" in']
    for verb in all_verbs:
        plain = " ".join(verb.verbs)
        rest = give(plain) if plain else give(verb.values.get("", "ANY"))
        options = " ".join(verb.options)
        out.append(f"        '{verb.path}') if [[ $cur == -* ]]; then {give(options)}; else {rest}; fi ;;")
    out += ["    esac", "}", "shopt -s extglob", "complete -F _c2f_spec c2f-spec"]
    return "\n".join(out) + "\n"


def zsh(all_verbs: list[Verb]) -> str:
    files = "_files -g '*.(yaml|yml)(-.)'"
    words = {
        "SPEC": files,
        "ENVIRONMENT": f'compadd -- ${{(f)"$({ENVIRONMENTS})"}}',
        "DIR": "_files -/",
        "ANY": "true",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"compadd -- {takes}")

    out = [
        "#compdef c2f-spec",
        "# zsh completion for c2f-spec: source <(c2f-spec completion zsh), after compinit",
        "_c2f_spec() {",
        '    local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}" verb="" word',
        '    for word in "${(@)words[2,CURRENT-1]}"; do',
        '        case "$verb $word" in',
    ]
    for verb in all_verbs[1:]:
        before, _, name = verb.path.rpartition(" ")
        out.append(f"            '{before} {name}') verb='{verb.path}' ;;")
    out += ["        esac", "    done", '    case "$verb:$prev" in']
    for verb in all_verbs:
        out += [f"        '{verb.path}:{o}') {give(t)}; return ;;" for o, t in _case(verb)]
    out += ["    esac", '    case "$verb" in']
    for verb in all_verbs:
        plain = " ".join(verb.verbs)
        rest = give(plain) if plain else give(verb.values.get("", "ANY"))
        out.append(
            f"        '{verb.path}') if [[ $cur == -* ]]; then compadd -- {' '.join(verb.options)}; else {rest}; fi ;;"
        )
    out += ["    esac", "}", "compdef _c2f_spec c2f-spec"]
    return "\n".join(out) + "\n"


def fish(all_verbs: list[Verb]) -> str:
    words = {
        "SPEC": r"-a '(__fish_complete_path (commandline -ct) | string match -re \'(\.ya?ml|/)(\s.*)?$\')'",
        "ENVIRONMENT": "-a '(begin; echo local; for f in k8s/environments/*.yaml; basename $f .yaml; end; end)'",
        "DIR": "-a '(__fish_complete_directories)'",
        "ANY": "",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"-a '{takes}'")

    out = ["# fish completion for c2f-spec: c2f-spec completion fish | source", "complete -c c2f-spec -f"]
    for verb in all_verbs:
        seen = "".join(f"; and __fish_seen_subcommand_from {name}" for name in verb.path.split())
        after = f"; and not __fish_seen_subcommand_from {' '.join(verb.verbs)}" if verb.verbs else ""
        start = f'complete -c c2f-spec -n "{(seen + after).removeprefix("; and ") or "true"}"'
        out += [
            f"{start} -a {inner.path.split()[-1]} -d '{_quoted(inner.help)}'"
            for inner in all_verbs
            if inner.path and inner.path.rpartition(" ")[0] == verb.path
        ]
        if "" in verb.values and not verb.verbs and verb.values[""] != "ANY":
            out.append(f"{start} {give(verb.values[''])}")
        for option, text in verb.options.items():
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            takes = f" -x {give(verb.values[option])}" if option in verb.values else ""
            out.append(f"{start} {flag}{takes} -d '{_quoted(text)}'")
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
