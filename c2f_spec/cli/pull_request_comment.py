"""One comment on a pull request, kept up to date: `python -m c2f_spec.cli.pull_request_comment`, for jobs of GitHub and GitLab.

    … post FILE      put it in place of our last one of the same kind; take that away if there is nothing to say
    … reviewed       print the digest of every plan that the comment of a merged pull request showed

FILE is what `c2f-spec diff -o markdown` or `plan -o markdown` wrote: its first line is a marker that nobody sees, and
our comment is the one with that marker that this token's own account wrote. This is the only part of the flow that has
a token, and it is meant to run where no code of the pull request does (`.github/workflows/specs-comment.yml`).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import code_hosts
from c2f_spec.cli.arguments.common import Parser
from c2f_spec.errors import C2fError, Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from c2f_spec.cli.code_hosts import Host

MOST = 65_536
"""Characters of a comment that GitHub takes."""
MARKER = re.compile(r"<!-- c2f-spec:[a-z-]+ -->")
PLANS = re.compile(r"^<!-- c2f-spec:plans (\{.*\}) -->$", re.MULTILINE)
DIGEST = re.compile(r"[0-9a-f]{64}")


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    try:
        host = _host(args)
        if host is None:
            print("no pull request has this commit", file=sys.stderr)
            return Exit.OK
        if args.verb == "reviewed":
            return reviewed(host)
        return post(host, Path(args.file).read_text(encoding="utf-8"))
    except C2fError as error:
        print(error, file=sys.stderr)
        return error.exit


def _host(args: Namespace) -> Host | None:
    if os.environ.get("GITLAB_CI"):
        return code_hosts.merge_request(args.number, args.sha)
    return code_hosts.pull_request(args.number, args.head, args.sha)


def post(host: Host, body: str) -> int:
    """Bring our comment to `body`. Writes only what differs; a second one of ours, from a race, is taken away."""
    marker = body.partition("\n")[0]
    if not MARKER.fullmatch(marker) or len(body) > MOST:
        raise UsageError(
            f"not a comment of ours: its first line is a marker, and it has at most {MOST:,} characters",
            hint="c2f-spec diff -o markdown writes one",
        )
    ours = [c for c in host.comments() if c.body.partition("\n")[0].rstrip("\r") == marker]
    keep, rest = (ours[:1], ours[1:]) if says_something(body) else ([], ours)
    for comment in rest:
        host.delete(comment)
    if not says_something(body):
        print(f"nothing to say{f', {len(rest)} taken away' if rest else ''}")
    elif not keep:
        host.create(body)
        print("commented")
    elif _same(keep[0].body, body):
        print("the comment stands as it is")
    else:
        host.update(keep[0], body)
        print("updated the comment")
    return Exit.OK


def says_something(body: str) -> bool:
    """A heading alone says that nothing changed."""
    return len([line for line in body.splitlines()[1:] if line.strip()]) > 1


def reviewed(host: Host) -> int:
    """`<digest> <spec>` for every plan that was shown."""
    for comment in host.comments():
        for found in PLANS.findall(comment.body):
            for spec, digest in json.loads(found).items():
                if DIGEST.fullmatch(str(digest)):
                    print(f"{digest} {json.dumps(spec)}")
    return Exit.OK


def _same(standing: str, body: str) -> bool:
    """Hosts end lines in their own way, and drop what is behind the last."""
    return standing.replace("\r\n", "\n").rstrip() == body.rstrip()


def _parser() -> Parser:
    parser = Parser(
        prog="python -m c2f_spec.cli.pull_request_comment", description="One comment on a pull request."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    verbs.add_parser("post", help="put it in place").add_argument("file", metavar="FILE")
    verbs.add_parser("reviewed", help="digests of the plans that were shown")
    for verb in verbs.choices.values():
        verb.add_argument("--number", type=int, metavar="N", help="of the pull request")
        verb.add_argument("--head", metavar="OWNER:BRANCH", help="its branch, with --sha its newest commit")
        verb.add_argument("--sha", metavar="SHA", help="alone: the commit that it was merged as")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
