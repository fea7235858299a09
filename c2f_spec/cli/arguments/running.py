"""Verbs for who runs experiments, from `apply` to the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.arguments.common import output

if TYPE_CHECKING:
    from c2f_spec.cli.arguments.common import Common


KINDS = ("prepare", "distil", "filter", "sft", "merge", "grpo", "evaluate", "baseline")
"""Of stages."""


def add(verbs: Any, common: Common) -> None:
    """`verbs` is what `add_subparsers` made."""
    doctor = verbs.add_parser("doctor", help="what would keep stages from running in an environment")
    doctor.add_argument("environment", metavar="ENV", help="its name")
    doctor.add_argument("--environments", metavar="DIR", help="look here first for environments")
    output(doctor, "table", "json")
    apply = verbs.add_parser(
        "apply", parents=[common.specs, common.place], help="run what is missing, and write the report"
    )
    apply.add_argument("--no-report", action="store_true", help="do not write the report at the end")
    apply.add_argument(
        "--allow-dirty",
        action="store_true",
        help="run a tree that is not committed and pushed; the difference is stored, every result is marked",
    )
    apply.add_argument(
        "--yes", action="store_true", help="on a cluster: do not ask before stages are started"
    )
    apply.add_argument(
        "--wait", action="store_true", help="on a cluster: tell what happens, until the last stage has ended"
    )
    apply.add_argument(
        "--until",
        choices=KINDS,
        metavar="KIND",
        help="only stages of this kind, and what they need: sft, for one",
    )
    driver = verbs.add_parser("driver", help="what `apply` starts in a cluster: run a stored plan to its end")
    driver.add_argument("--plan", required=True, metavar="URL", help="its plan.json, in the store or here")
    driver.add_argument("--digest", required=True, metavar="D", help="of the plan; another one is refused")
    driver.add_argument(
        "--lease",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long a silent driver keeps others away",
    )
    status = verbs.add_parser("status", parents=[common.one, common.place], help="where every stage is")
    output(status, "table", "json", "name")
    logs = verbs.add_parser(
        "logs", parents=[common.one, common.place], help="what a stage printed, all attempts"
    )
    logs.add_argument(
        "stage", nargs="?", metavar="STAGE", help="its name, kind or a start of them; absent: list them"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the stage ends")
    report = verbs.add_parser(
        "report",
        parents=[common.specs, common.place],
        help="write the report, of whatever is done; of two specs, side by side",
    )
    report.add_argument("--out", metavar="DIR", help="write it here instead of into the store")
    report.add_argument("--check", metavar="DIR", help="exit 4 if the tables there are no longer these")
    score = verbs.add_parser("score", help="the metrics of a file of predictions, anybody's")
    score.add_argument("file", metavar="FILE", help='JSON lines of {"id", "label", "prediction"}')
    score.add_argument(
        "--family",
        required=True,
        metavar="mosi|sims|LOW:HIGH",
        help="whose metrics, or the range of the labels",
    )
    score.add_argument(
        "--bootstrap", type=int, default=0, metavar="N", help="95 %% intervals from N resamples"
    )
    output(score, "table", "json")
    retry = verbs.add_parser(
        "retry", parents=[common.one, common.place], help="forgive failures, so that `apply` tries again"
    )
    cancel = verbs.add_parser(
        "cancel", parents=[common.one, common.place], help="ask running stages to save and stop"
    )
    for verb in (retry, cancel):
        verb.add_argument("stage", nargs="?", metavar="STAGE", help="one stage; absent: all of them")
    delete = verbs.add_parser(
        "delete",
        parents=[common.one, common.place],
        help="remove what a plan has in a cluster; results stay in the store",
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")
    for verb in (cancel, delete):
        verb.add_argument("--force", action="store_true", help="stop what other plans need, too")
    shell = verbs.add_parser(
        "shell",
        parents=[common.one, common.place],
        help="a stage's pod, asleep for two hours, to look around in",
    )
    shell.add_argument("stage", metavar="STAGE", help="its name, kind or a start of them")
    export = verbs.add_parser(
        "export", parents=[common.one, common.place], help="a trained student, for use without this project"
    )
    export.add_argument("folder", metavar="DIR", help="a new folder for it")
    export.add_argument(
        "--checkpoint", choices=("sft", "grpo"), help="which; absent: the last that is trained"
    )
    export.add_argument("--variant", metavar="NAME", help="of a spec with several")
    export.add_argument(
        "--chains",
        action="store_true",
        help="and the kept chains with their clips, as conversations that ms-swift and TRL read",
    )
    predict = verbs.add_parser("predict", help="what an exported student says of a folder of clips")
    predict.add_argument("model", metavar="MODEL", help="a folder that `export` made")
    predict.add_argument(
        "clips", metavar="CLIPS", help="a folder with clips, and what is said in a.mp4 in a.txt"
    )
    predict.add_argument("--out", metavar="FILE", help="write the lines there, not to stdout")
    predict.add_argument("--language", choices=("en", "zh"), help="of the prompt; absent: as it was trained")
    predict.add_argument(
        "--without-text", action="store_true", help="clips without a text are only seen and heard"
    )
