"""Keep one comment on a pull request up to date: `python -m c2f_spec.cli.pull_request_comment`, for jobs of GitHub and GitLab.

    … post FILE      create or update the comment of this kind; remove it if there is nothing to report
    … reviewed       print the digest of every plan in the comment of a merged pull request

FILE is the output of `c2f-spec diff -o markdown` or `plan -o markdown`: its first line is a hidden marker, and our
comment is the one with that marker that the account of this token wrote. This is the only part of the flow that has a
token, and it is meant to run where no code of the pull request does (`.github/workflows/specs-comment.yml`).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import code_hosts
from c2f_spec.cli.arguments import Parser
from c2f_spec.cli.comment_output import MAX_BYTES
from c2f_spec.errors import C2fError, Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from c2f_spec.cli.code_hosts import PullRequest

MARKER = re.compile(r"<!-- c2f-spec:[a-z-]+ -->")
PLANS = re.compile(r"^<!-- c2f-spec:plans (\{.*\}) -->$", re.MULTILINE)
DIGEST = re.compile(r"[0-9a-f]{64}")


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    try:
        host = _find_host(args)
        if host is None:
            print("no pull request has this commit", file=sys.stderr)
            return Exit.OK
        if args.verb == "reviewed":
            return print_reviewed(host)
        return post(host, Path(args.file).read_text(encoding="utf-8"))
    except C2fError as error:
        print(error, file=sys.stderr)
        return error.exit


def _find_host(args: Namespace) -> PullRequest | None:
    if os.environ.get("GITLAB_CI"):
        return code_hosts.find_merge_request(args.number, args.sha)
    return code_hosts.find_pull_request(args.number, args.head, args.sha)


def post(host: PullRequest, body: str) -> int:
    """Bring our comment to `body`. Write only what differs; remove a second comment, which comes from a race."""
    marker = body.partition("\n")[0]
    if not MARKER.fullmatch(marker) or len(body) > MAX_BYTES:
        raise UsageError(
            f"not a comment of c2f-spec: its first line is a marker, and it has at most {MAX_BYTES:,} characters",
            hint="write it with `c2f-spec diff -o markdown`",
        )
    ours = [c for c in host.comments() if c.body.partition("\n")[0].rstrip("\r") == marker]
    keep, rest = (ours[:1], ours[1:]) if has_content(body) else ([], ours)
    for comment in rest:
        host.delete(comment)
    if not has_content(body):
        print(f"nothing to report{f', {len(rest)} removed' if rest else ''}")
    elif not keep:
        host.create(body)
        print("commented")
    elif keep[0].body.replace("\r\n", "\n").rstrip() == body.rstrip():  # hosts change the ends of lines
        print("the comment is up to date")
    else:
        host.update(keep[0], body)
        print("updated the comment")
    return Exit.OK


def has_content(body: str) -> bool:
    """Return whether there is more than a heading, which alone says that nothing changed."""
    return len([line for line in body.splitlines()[1:] if line.strip()]) > 1


def print_reviewed(host: PullRequest) -> int:
    """Print `<digest> <spec>` for every plan in the comment."""
    for comment in host.comments():
        for plans in PLANS.findall(comment.body):
            for spec, digest in json.loads(plans).items():
                if DIGEST.fullmatch(str(digest)):
                    print(f"{digest} {json.dumps(spec)}")
    return Exit.OK


def _parser() -> Parser:
    parser = Parser(
        prog="python -m c2f_spec.cli.pull_request_comment", description="Keep one comment on a pull request."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    verbs.add_parser("post", help="create or update the comment").add_argument("file", metavar="FILE")
    verbs.add_parser("reviewed", help="print the digests of the plans in the comment")
    for verb in verbs.choices.values():
        verb.add_argument("--number", type=int, metavar="N", help="number of the pull request")
        verb.add_argument("--head", metavar="OWNER:BRANCH", help="its branch; --sha is its newest commit")
        verb.add_argument("--sha", metavar="SHA", help="without --head: the commit that it was merged as")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
