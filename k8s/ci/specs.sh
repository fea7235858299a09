#!/usr/bin/env bash
# What a job does with specs, on GitHub (action.yml) and on GitLab (.gitlab-ci.yml): specs.sh check | comment | apply
#
# Everything of a pull request is text to this script: it comes by variables, is quoted, and its output is kept from
# being read as commands of the runner.
set -euo pipefail

quiet() { # what a runner must not obey: lines such as ::error or ::add-mask
  local word
  word=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
  [ -z "${GITHUB_ACTIONS:-}" ] || echo "::stop-commands::$word"
  local code=0
  "$@" || code=$?
  [ -z "${GITHUB_ACTIONS:-}" ] || echo "::$word::"
  return "$code"
}

# Every spec is valid and has a plan. Runs code of the pull request, so it has no secrets and a token that reads.
check() {
  local spec files form=text
  shopt -s nullglob
  # shellcheck disable=SC2206  # a glob is meant to become many words
  files=(${SPECS:-specs/*.yaml})
  [ "${#files[@]}" -gt 0 ] || { echo "no specs match ${SPECS:-specs/*.yaml}" >&2; exit 64; }
  [ -z "${GITHUB_ACTIONS:-}" ] || form=github
  c2f-spec validate -o "$form" "${files[@]}" # its annotations are escaped, and are meant to act
  mkdir -p plans
  for spec in "${files[@]}"; do
    quiet c2f-spec plan "$spec" --offline --out "plans/$(basename "$spec" .yaml).json"
  done
  quiet c2f-spec lock --check "${files[@]}" || [ "${LOCK:-warn}" = warn ]
}

# One comment: what the pull request would run. Runs the code of the branch that is checked out; of the pull request it
# reads blobs of git.
comment() {
  fetch "$SHA"
  c2f-spec diff -o markdown "HEAD...$SHA" -- specs >"${TMPDIR:-/tmp}/comment.md"
  if [ -n "${HEAD:-}" ]; then
    quiet python3 -m c2f_spec.cli.pull_request_comment post "${TMPDIR:-/tmp}/comment.md" --head "$HEAD" --sha "$SHA"
  else
    quiet python3 -m c2f_spec.cli.pull_request_comment post "${TMPDIR:-/tmp}/comment.md"
  fi
}

# What was merged, if its plan is the one that the comment showed: exit 5 if anything moved since.
apply() {
  local digest spec found plan="${TMPDIR:-/tmp}/plan.json" # a file here would make the tree dirty
  python3 -m c2f_spec.cli.pull_request_comment reviewed --sha "$SHA" >"${TMPDIR:-/tmp}/reviewed"
  [ -s "${TMPDIR:-/tmp}/reviewed" ] || { echo "no plan was reviewed with $SHA: nothing to apply"; return 0; }
  while read -r digest spec; do
    spec=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1]))' "$spec")
    quiet c2f-spec plan "$spec" --out "$plan"
    found=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["digest"])' "$plan")
    if [ "$found" != "$digest" ]; then
      printf '%q: the plan is %s now, and %s was reviewed\n' "$spec" "$found" "$digest" >&2
      exit 5
    fi
    quiet c2f-spec apply "$plan" --yes
  done <"${TMPDIR:-/tmp}/reviewed"
}

fetch() { # a commit, without leaving the token in .git/config or in a list of processes
  if [ -n "${GITHUB_TOKEN:-}" ]; then
    local basic
    basic=$(printf 'x-access-token:%s' "$GITHUB_TOKEN" | base64 | tr -d '\n')
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.extraheader" GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $basic"
  fi
  git fetch --quiet --no-tags origin "$1"
  unset GIT_CONFIG_COUNT
}

case "${1:-}" in
check | comment | apply) "$1" ;;
*)
  echo "usage: specs.sh check | comment | apply" >&2
  exit 64
  ;;
esac
