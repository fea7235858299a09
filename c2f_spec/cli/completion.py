"""`completion`: scripts for bash, zsh and fish, made from the parser, so that they know what it knows.

The scripts carry verbs, options, paths of fields and their values, and complete them without starting Python. Specs
are completed as files; environments are read from `k8s/environments` below the current folder. Only variants and
stages are asked of `c2f-spec`, with what the line says so far.
"""

from __future__ import annotations

import argparse
import re
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from c2f_spec.diagnostics.codes import code_entries
from c2f_spec.errors import Exit
from c2f_spec.language.field_help import every_field
from c2f_spec.language.schema_errors import models_of_annotation
from c2f_spec.spec.base import DISCRIMINATORS, SpecModel, Word

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable


TAKES = {
    "SPEC": "SPEC",
    "PATH": "SPEC",
    "DIR": "DIR",
    "CODE|PATH": "FIELD",
    "PATH=VALUE": "SETTING",
    "ENV": "ENVIRONMENT",
    "STAGE": "STAGE",  # once there is a spec
}
"""What arguments are called in the help → what completes them; the rest is in `_takes`."""


class Verb(NamedTuple):
    """A verb, or a verb of a verb (`data add`), as completion sees it."""

    path: str
    help: str
    verbs: list[str]
    options: dict[str, str]
    """Option → its help."""
    values: dict[str, str]
    """Option, or `""` for arguments → what it takes: words, or one of `TAKES`. The last argument counts."""


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
                verb.values.update(dict.fromkeys(action.option_strings or [""], _takes(action)))

    walk(parser(), "", "")
    return found


def _takes(action: argparse.Action) -> str:
    if action.choices:
        return " ".join(str(c) for c in action.choices)
    if action.dest in ("on", "variant"):
        return "ENVIRONMENT" if action.dest == "on" else "VARIANT"
    return TAKES.get(str(action.metavar), "ANY")


def paths() -> list[str]:
    """Every path that `explain` and `--set` take."""
    return sorted({".".join(found.path) for found in every_field()})


def explained() -> list[str]:
    """What `explain` takes: a path, or a code."""
    return [*paths(), *code_entries()]


def settings() -> list[str]:
    """`path=value` for every value of fields that have few: names, kinds, true and false."""
    return sorted(
        {
            f"{'.'.join(found.path)}={value}"
            for found in every_field()
            for value in _values(found.info.annotation) | _words(found.info.metadata)
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


def _words(metadata: list[Any]) -> set[str]:
    return {m.word for m in metadata if isinstance(m, Word)}


ENVIRONMENTS = "{ echo local; ls k8s/environments 2>/dev/null | sed -n 's/\\.ya*ml$//p'; }"

GIVEN = ("--on", "--environments", "--set")
"""Options of a line that change its variants or stages."""


def completion(args: Namespace) -> int:
    print({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](verbs()), end="")
    return Exit.OK


def _lists() -> dict[str, str]:
    """Variables of a script."""
    return {"_c2f_spec_paths": " ".join(paths()), "_c2f_spec_settings": " ".join(settings())}


def _step(all_verbs: list[Verb]) -> list[str]:
    """In bash and zsh: what a word means that stands before the cursor; `i` is where it stands in `said`."""
    out = [
        '        case "$word" in',
        f'            {" | ".join(GIVEN)}) given+=("$word" "${{said[++i]}}"); continue ;;',
        f'            {" | ".join(f"{o}=*" for o in GIVEN)}) given+=("$word"); continue ;;',
        '            *.yaml | *.yml) spec="${spec:-${word/#\\~\\//$HOME/}}"; continue ;;',
        "        esac",
        '        case "$verb $word" in',
    ]
    for verb in all_verbs[1:]:
        before, _, name = verb.path.rpartition(" ")
        out.append(f"            '{before} {name}') verb='{verb.path}' ;;")
    return [*out, "        esac"]


def _reply(all_verbs: list[Verb], give: Callable[[str], str]) -> list[str]:
    """In bash and zsh: what completes `cur`, after `prev` or as an option or argument of the verb."""
    out = ['    case "$verb:$prev" in']
    for verb in all_verbs:
        out += [f"        '{verb.path}:{o}') {give(t)}; return ;;" for o, t in verb.values.items() if o]
    out += ["    esac", '    case "$verb" in']
    for verb in all_verbs:
        rest = give(" ".join(verb.verbs) or verb.values.get("", "ANY"))
        options = give(" ".join(verb.options))
        out.append(f"        '{verb.path}') if [[ $cur == -* ]]; then {options}; else {rest}; fi ;;")
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
_c2f_spec_ask() {
    [[ -z $spec ]] || _c2f_spec_lines < <("${said[0]}" "$1" "$spec" "${given[@]}" "${@:2}" 2>/dev/null </dev/null)
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
    local cur prev verb="" spec="" option="" whole word i n=-1 said=() given=()
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]//[\\\"\']/}"
        if ((n > 0)) && [[ $word == [=:]* || ${said[n]} == *[=:] ]]; then
            said[n]+="$word"
        else
            said[++n]="$word"
        fi
    done
    whole="${said[n]}" cur="${said[n]}" prev="${said[n-1]}"
    if [[ $cur == --*=* ]]; then
        option="${cur%%=*}=" prev="${cur%%=*}" cur="${cur#*=}"
    fi
    for ((i = 1; i < n; i++)); do
        word="${said[i]}"
"""


def bash(all_verbs: list[Verb]) -> str:
    words = {
        "SPEC": "_c2f_spec_files",
        "ENVIRONMENT": f"_c2f_spec_lines < <({ENVIRONMENTS})",
        "DIR": 'COMPREPLY=($(compgen -d -- "$cur"))',
        "FIELD": f"COMPREPLY=($(compgen -W '{' '.join(explained())}' -- \"$cur\"))",
        "SETTING": "_c2f_spec_setting",
        "VARIANT": "_c2f_spec_ask expand -o name",
        "STAGE": "if [[ $spec ]]; then _c2f_spec_ask plan --offline -o name; else _c2f_spec_files; fi",
        "ANY": "true",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"COMPREPLY=($(compgen -W '{takes}' -- \"$cur\"))")

    out = ["# bash completion for c2f-spec: source <(c2f-spec completion bash)"]
    out += [f"{name}='{value}'" for name, value in _lists().items()]
    out += [BASH.strip(), *_step(all_verbs), "    done", "    _c2f_spec_reply"]
    out += [
        '    COMPREPLY=("${COMPREPLY[@]/#/$option}")',
        '    [[ $whole != *"$2" ]] || COMPREPLY=("${COMPREPLY[@]#"${whole%"$2"}"}")',
        "}",
        "_c2f_spec_reply() {",
        *_reply(all_verbs, give),
        "}",
        "complete -F _c2f_spec c2f-spec",
    ]
    return "\n".join(out) + "\n"


ZSH = r"""
_c2f_spec_ask() {
    [[ -z $spec ]] || compadd -- ${(f)"$("${said[1]}" "$1" "$spec" "${given[@]}" "${@:2}" 2>/dev/null </dev/null)"}
}
_c2f_spec_setting() {
    if compset -P 1 '*='; then
        compadd -- ${${(M)${=_c2f_spec_settings}:#${cur%%=*}=*}#*=}
    else
        compadd -S = -- ${=_c2f_spec_paths}
    fi
}
_c2f_spec() {
    local -a said=("${(@Q)words}") given=()
    local cur="${said[CURRENT]#[\"\']}" prev="${said[CURRENT-1]}" verb="" spec="" word
    local -i i
    if [[ $cur == --*=* ]]; then
        compset -P 1 '*='
        prev="${cur%%=*}" cur="${cur#*=}"
    fi
    for ((i = 2; i < CURRENT; i++)); do
        word="${said[i]}"
"""


def zsh(all_verbs: list[Verb]) -> str:
    files = "_files -g '*.(yaml|yml)(-.)'"
    words = {
        "SPEC": files,
        "ENVIRONMENT": f'compadd -- ${{(f)"$({ENVIRONMENTS})"}}',
        "DIR": "_files -/",
        "FIELD": f"compadd -- {' '.join(explained())}",
        "SETTING": "_c2f_spec_setting",
        "VARIANT": "_c2f_spec_ask expand -o name",
        "STAGE": f"if [[ -n $spec ]]; then _c2f_spec_ask plan --offline -o name; else {files}; fi",
        "ANY": "true",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"compadd -- {takes}")

    out = [
        "#compdef c2f-spec",
        "# zsh completion for c2f-spec: source <(c2f-spec completion zsh), after compinit",
        *(f"{name}='{value}'" for name, value in _lists().items()),
        ZSH.strip(),
        *_step(all_verbs),
        "    done",
        *_reply(all_verbs, give),
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
function __c2f_spec_ask -a verb
    set -l words (commandline -opc)
    set -l spec
    set -l given
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case GIVEN
                set -l next (math $i + 1)
                set -a given $words[$i] $words[$next]
                set i $next
            case GIVING
                set -a given $words[$i]
            case '*.yaml' '*.yml'
                set -a spec (string replace -r '^~/' "$HOME/" -- $words[$i])
        end
        set i (math $i + 1)
    end
    if test -n "$spec"
        $words[1] $verb $spec[1] $given $argv[2..-1] 2>/dev/null </dev/null
    else
        __c2f_spec_files
    end
end
"""


def fish(all_verbs: list[Verb]) -> str:
    words = {
        "SPEC": "-a '(__c2f_spec_files)'",
        "ENVIRONMENT": "-a '(begin; echo local; for f in k8s/environments/*.yaml; basename $f .yaml; end; end)'",
        "DIR": "-a '(__fish_complete_directories)'",
        "FIELD": f"-a '{' '.join(explained())}'",
        "SETTING": "-a '(__c2f_spec_settings)'",
        "VARIANT": "-a '(__c2f_spec_ask expand -o name)'",
        "STAGE": "-a '(__c2f_spec_ask plan --offline -o name)'",
        "ANY": "",
    }

    def give(takes: str) -> str:
        return words.get(takes, f"-a '{takes}'")

    given = {"GIVEN": " ".join(GIVEN), "GIVING": " ".join(f"'{o}=*'" for o in GIVEN)}
    out = [
        "# fish completion for c2f-spec: c2f-spec completion fish | source",
        *(f"set -g {name} '{value}'" for name, value in _lists().items()),
        re.sub("GIVEN|GIVING", lambda found: given[found[0]], FISH.strip()),
        "complete -c c2f-spec -f",
    ]
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
