"""`completion`: print a completion script for bash, zsh or fish, built from the parsers of the verbs.

The scripts hold verbs, options, paths of fields and their values, and complete them without starting Python. Specs
are completed as files; environments are read from `k8s/environments` below the current folder. Only for variants and
stages the script calls `c2f-spec`, with the options that are on the line.
"""

from __future__ import annotations

import argparse
import re
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from c2f_spec.cli.arguments import VISIBLE_VERBS, verb_parser
from c2f_spec.diagnostics.codes import code_entries
from c2f_spec.errors import Exit
from c2f_spec.language.field_help import every_field
from c2f_spec.language.schema_errors import models_of_annotation
from c2f_spec.spec.base import DISCRIMINATORS, SpecModel, Word

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable


COMPLETERS = {
    "SPEC": "SPEC",
    "PATH": "SPEC",
    "DIR": "DIR",
    "CODE|PATH": "FIELD",
    "PATH=VALUE": "SETTING",
    "ENV": "ENVIRONMENT",
    "STAGE": "STAGE",  # once there is a spec
}
"""Metavar of an argument to what completes it; others are in `_completer`."""


class Command(NamedTuple):
    """A verb, or a verb of a verb (`data add`), as completion needs it."""

    path: str
    help: str
    verbs: list[str]
    options: dict[str, str]
    """Option to its help."""
    values: dict[str, str]
    """Option, or `""` for arguments, to what completes it: words, or one of `COMPLETERS`. The last argument counts."""


def collect_commands() -> list[Command]:
    """Return every verb that the help lists, after the command without a verb."""
    options = {"-h": "show this help", "--help": "show this help", "--version": "show the version"}
    commands = [Command("", "", list(VISIBLE_VERBS), options, {})]

    def walk(parser: argparse.ArgumentParser, path: str, text: str) -> None:
        command = Command(path, text, [], {}, {})
        commands.append(command)
        for action in parser._actions:  # noqa: SLF001  argparse has no public list
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                for name, inner in action.choices.items():
                    command.verbs.append(name)
                    walk(inner, f"{path} {name}", inner.description or "")
                continue
            for option in action.option_strings:
                command.options[option] = action.help or ""
            if action.nargs != 0:
                command.values.update(dict.fromkeys(action.option_strings or [""], _completer(action)))

    for name, verb in VISIBLE_VERBS.items():
        walk(verb_parser(name), name, verb.help)
    return commands


def _completer(action: argparse.Action) -> str:
    if action.choices:
        return " ".join(str(c) for c in action.choices)
    if action.dest in ("on", "variant"):
        return "ENVIRONMENT" if action.dest == "on" else "VARIANT"
    return COMPLETERS.get(str(action.metavar), "ANY")


def field_paths() -> list[str]:
    """Return every path that `explain` and `--set` take."""
    return sorted({".".join(entry.path) for entry in every_field()})


def explained() -> list[str]:
    """Return what `explain` takes: paths and codes."""
    return [*field_paths(), *code_entries()]


def field_settings() -> list[str]:
    """Return `path=value` for every value of fields that have few: names, kinds, true and false."""
    return sorted(
        {
            f"{'.'.join(entry.path)}={value}"
            for entry in every_field()
            for value in _values(entry.info.annotation)
            | {m.word for m in entry.info.metadata if isinstance(m, Word)}
        }
    )


def _values(annotation: Any) -> set[str]:
    if annotation is bool:
        return {"true", "false"}
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        kinds = [annotation.model_fields[d] for d in DISCRIMINATORS if d in annotation.model_fields]
        return {str(name) for kind in kinds for name in get_args(kind.annotation)}
    args = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {str(a) for a in args}
    if get_origin(annotation) is tuple:  # a list, which is written in brackets
        return set()
    removed = {"null"} if NoneType in args and models_of_annotation(annotation) else set()
    return removed.union(*(_values(a) for a in args))


ENVIRONMENTS = "{ echo local; ls k8s/environments 2>/dev/null | sed -n 's/\\.ya*ml$//p'; }"

PLAN_OPTIONS = ("--on", "--environments", "--set")
"""Options that change the variants or stages of a spec."""


def completion(args: Namespace) -> int:
    print({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](collect_commands()), end="")
    return Exit.OK


def _lists() -> dict[str, str]:
    """Return the variables of a script."""
    return {"_c2f_spec_paths": " ".join(field_paths()), "_c2f_spec_settings": " ".join(field_settings())}


def _step(commands: list[Command]) -> list[str]:
    """Return, for bash and zsh, what a word before the cursor means; `i` is its index in `typed`."""
    out = [
        '        case "$word" in',
        f'            {" | ".join(PLAN_OPTIONS)}) plan_options+=("$word" "${{typed[++i]}}"); continue ;;',
        f'            {" | ".join(f"{o}=*" for o in PLAN_OPTIONS)}) plan_options+=("$word"); continue ;;',
        '            *.yaml | *.yml) spec="${spec:-${word/#\\~\\//$HOME/}}"; continue ;;',
        "        esac",
        '        case "$verb $word" in',
    ]
    for command in commands[1:]:
        before, _, name = command.path.rpartition(" ")
        out.append(f"            '{before} {name}') verb='{command.path}' ;;")
    return [*out, "        esac"]


def _reply(commands: list[Command], complete: Callable[[str], str]) -> list[str]:
    """Return, for bash and zsh, what completes `cur`, after `prev` or as an option or argument of the verb."""
    out = ['    case "$verb:$prev" in']
    for command in commands:
        out += [
            f"        '{command.path}:{o}') {complete(t)}; return ;;" for o, t in command.values.items() if o
        ]
    out += ["    esac", '    case "$verb" in']
    for command in commands:
        rest = complete(" ".join(command.verbs) or command.values.get("", "ANY"))
        options = complete(" ".join(command.options))
        out.append(f"        '{command.path}') if [[ $cur == -* ]]; then {options}; else {rest}; fi ;;")
    return [*out, "    esac"]


BASH = r"""
# The lines of the input are completed only where nothing in them means something to the shell.
_c2f_spec_lines() {
    local line
    while IFS= read -r line; do
        case "$line" in
            *[!A-Za-z0-9._-]*) ;;
            "$cur"*) COMPREPLY+=("$line") ;;
        esac
    done
}
_c2f_spec_call() {
    [[ -z $spec ]] || _c2f_spec_lines < <("${typed[0]}" "$1" "$spec" "${plan_options[@]}" "${@:2}" 2>/dev/null </dev/null)
}
_c2f_spec_files() {
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X "!*.yaml" -- "$cur") $(compgen -f -X "!*.yml" -- "$cur"))
}
_c2f_spec_setting() {
    if [[ $cur == *=* ]]; then
        COMPREPLY=($(compgen -W "$_c2f_spec_settings" -- "$cur"))
    else
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -W "$_c2f_spec_paths" -S = -- "$cur"))
    fi
}
# Bash has split the words at `=` and `:`, too: they are put together first. It replaces the last part only, which is $2:
# what stands before it is taken from the replies.
_c2f_spec() {
    local cur prev verb="" spec="" option="" whole word i n=-1 typed=() plan_options=()
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]//[\\\"\']/}"
        if ((n > 0)) && [[ $word == [=:]* || ${typed[n]} == *[=:] ]]; then
            typed[n]+="$word"
        else
            typed[++n]="$word"
        fi
    done
    whole="${typed[n]}" cur="${typed[n]}" prev="${typed[n-1]}"
    if [[ $cur == --*=* ]]; then
        option="${cur%%=*}=" prev="${cur%%=*}" cur="${cur#*=}"
    fi
    for ((i = 1; i < n; i++)); do
        word="${typed[i]}"
"""


def bash(commands: list[Command]) -> str:
    words = {
        "SPEC": "_c2f_spec_files",
        "ENVIRONMENT": f"_c2f_spec_lines < <({ENVIRONMENTS})",
        "DIR": 'COMPREPLY=($(compgen -d -- "$cur"))',
        "FIELD": f"COMPREPLY=($(compgen -W '{' '.join(explained())}' -- \"$cur\"))",
        "SETTING": "_c2f_spec_setting",
        "VARIANT": "_c2f_spec_call expand -o name",
        "STAGE": "if [[ $spec ]]; then _c2f_spec_call plan --offline -o name; else _c2f_spec_files; fi",
        "ANY": "true",
    }

    def complete(takes: str) -> str:
        return words.get(takes, f"COMPREPLY=($(compgen -W '{takes}' -- \"$cur\"))")

    out = ["# bash completion for c2f-spec: source <(c2f-spec completion bash)"]
    out += [f"{name}='{value}'" for name, value in _lists().items()]
    out += [BASH.strip(), *_step(commands), "    done", "    _c2f_spec_reply"]
    out += [
        '    COMPREPLY=("${COMPREPLY[@]/#/$option}")',
        '    [[ $whole != *"$2" ]] || COMPREPLY=("${COMPREPLY[@]#"${whole%"$2"}"}")',
        "}",
        "_c2f_spec_reply() {",
        *_reply(commands, complete),
        "}",
        "complete -F _c2f_spec c2f-spec",
    ]
    return "\n".join(out) + "\n"


ZSH = r"""
_c2f_spec_call() {
    [[ -z $spec ]] || compadd -- ${(f)"$("${typed[1]}" "$1" "$spec" "${plan_options[@]}" "${@:2}" 2>/dev/null </dev/null)"}
}
_c2f_spec_setting() {
    if compset -P 1 '*='; then
        compadd -- ${${(M)${=_c2f_spec_settings}:#${cur%%=*}=*}#*=}
    else
        compadd -S = -- ${=_c2f_spec_paths}
    fi
}
_c2f_spec() {
    local -a typed=("${(@Q)words}") plan_options=()
    local cur="${typed[CURRENT]#[\"\']}" prev="${typed[CURRENT-1]}" verb="" spec="" word
    local -i i
    if [[ $cur == --*=* ]]; then
        compset -P 1 '*='
        prev="${cur%%=*}" cur="${cur#*=}"
    fi
    for ((i = 2; i < CURRENT; i++)); do
        word="${typed[i]}"
"""


def zsh(commands: list[Command]) -> str:
    files = "_files -g '*.(yaml|yml)(-.)'"
    words = {
        "SPEC": files,
        "ENVIRONMENT": f'compadd -- ${{(f)"$({ENVIRONMENTS})"}}',
        "DIR": "_files -/",
        "FIELD": f"compadd -- {' '.join(explained())}",
        "SETTING": "_c2f_spec_setting",
        "VARIANT": "_c2f_spec_call expand -o name",
        "STAGE": f"if [[ -n $spec ]]; then _c2f_spec_call plan --offline -o name; else {files}; fi",
        "ANY": "true",
    }

    def complete(takes: str) -> str:
        return words.get(takes, f"compadd -- {takes}")

    out = [
        "#compdef c2f-spec",
        "# zsh completion for c2f-spec: source <(c2f-spec completion zsh), after compinit",
        *(f"{name}='{value}'" for name, value in _lists().items()),
        ZSH.strip(),
        *_step(commands),
        "    done",
        *_reply(commands, complete),
        "}",
        "compdef _c2f_spec c2f-spec",
    ]
    return "\n".join(out) + "\n"


FISH = r"""
function __c2f_spec_files
    __fish_complete_path (commandline -ct) | string match -re '(\.ya?ml|/)(\s.*)?$'
end
function __c2f_spec_settings
    if string match -q '*=*' -- (commandline -ct | string replace -r '^--set=' '')
        string split ' ' $_c2f_spec_settings
    else
        printf '%s=\n' (string split ' ' $_c2f_spec_paths)
    end
end
function __c2f_spec_call -a verb
    set -l words (commandline -opc)
    set -l spec
    set -l plan_options
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case PLAN_OPTIONS
                set -l next (math $i + 1)
                set -a plan_options $words[$i] $words[$next]
                set i $next
            case PLAN_OPTION_VALUES
                set -a plan_options $words[$i]
            case '*.yaml' '*.yml'
                set -a spec (string replace -r '^~/' "$HOME/" -- $words[$i])
        end
        set i (math $i + 1)
    end
    if test -n "$spec"
        $words[1] $verb $spec[1] $plan_options $argv[2..-1] 2>/dev/null </dev/null
    else
        __c2f_spec_files
    end
end
"""


def fish(commands: list[Command]) -> str:
    words = {
        "SPEC": "-a '(__c2f_spec_files)'",
        "ENVIRONMENT": "-a '(begin; echo local; for f in k8s/environments/*.yaml; basename $f .yaml; end; end)'",
        "DIR": "-a '(__fish_complete_directories)'",
        "FIELD": f"-a '{' '.join(explained())}'",
        "SETTING": "-a '(__c2f_spec_settings)'",
        "VARIANT": "-a '(__c2f_spec_call expand -o name)'",
        "STAGE": "-a '(__c2f_spec_call plan --offline -o name)'",
        "ANY": "",
    }

    def complete(takes: str) -> str:
        return words.get(takes, f"-a '{takes}'")

    names = {
        "PLAN_OPTIONS": " ".join(PLAN_OPTIONS),
        "PLAN_OPTION_VALUES": " ".join(f"'{option}=*'" for option in PLAN_OPTIONS),
    }
    out = [
        "# fish completion for c2f-spec: c2f-spec completion fish | source",
        *(f"set -g {name} '{value}'" for name, value in _lists().items()),
        re.sub("PLAN_OPTIONS|PLAN_OPTION_VALUES", lambda match: names[match[0]], FISH.strip()),
        "complete -c c2f-spec -f",
    ]
    for command in commands:
        inside = "".join(f"; and __fish_seen_subcommand_from {name}" for name in command.path.split())
        after = f"; and not __fish_seen_subcommand_from {' '.join(command.verbs)}" if command.verbs else ""
        start = f'complete -c c2f-spec -n "{(inside + after).removeprefix("; and ") or "true"}"'
        out += [
            f"{start} -a {inner.path.split()[-1]} -d '{_quoted(inner.help)}'"
            for inner in commands
            if inner.path and inner.path.rpartition(" ")[0] == command.path
        ]
        if "" in command.values and not command.verbs and command.values[""] != "ANY":
            out.append(f"{start} {complete(command.values[''])}")
        for option, text in command.options.items():
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            takes = f" -x {complete(command.values[option])}" if option in command.values else ""
            out.append(f"{start} {flag}{takes} -d '{_quoted(text)}'")
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
