"""`render`: print a plan as Kubernetes manifests. It uses no network, and writes the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.output import write_folder
from c2f_spec.cli.workspace import compile_work, refuse_broken_rules
from c2f_spec.errors import Exit, UsageError
from c2f_spec.language.yaml_writer import render_manifests
from c2f_spec.plan.code import bundle
from c2f_spec.plan.plan_file import to_json
from c2f_spec.spec.environment import has_pools
from c2f_spec.targets.kubernetes.manifests.driver import bundle_map, driver_job, plan_map
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.manifests.validation import check

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan

HEADER = "# Written by `c2f-spec render {}`; not edited by hand.\n"
ORDER = "# The driver creates these when their inputs are there; to start an experiment, apply the plan and the driver.\n"
KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
Files = dict[str, list[dict[str, Any]]]


def render(args: Namespace) -> int:
    """Print, or write into `--out-dir`. Exit 4 with `--check` if a file there differs."""
    if args.check and not args.out_dir:
        raise UsageError("`--check` needs `--out-dir`", hint="add the folder that holds what was rendered")
    if args.gitops and args.offline:
        message = "a cluster that follows a folder starts what it holds, so every name must be pinned"
        raise UsageError(message, hint="remove --offline; `c2f-spec lock` pins what is staged")
    work = compile_work(args, warn=True)
    plan = work.plan
    if not has_pools(plan.environment) or not work.backend.renders_manifests:
        raise UsageError(
            f"`{plan.environment_name}` is an environment of kind `{work.environment.kind}`, which has no manifests",
            hint="name a cluster with --on, for example `--on kind`",
        )
    if args.gitops:  # the cluster starts what the folder holds, without `apply`
        refuse_broken_rules(plan, work.root, None)
    files = _gitops_files(plan) if args.gitops else _all_files(plan)
    manifests = [item for objects in files.values() for item in objects]
    check(manifests, plan.environment, work.environment_document)
    if not args.out_dir:
        print("".join(render_manifests(objects) for objects in files.values()), end="")
        return Exit.OK
    header = HEADER.format(" ".join(args.specs))
    stages = () if args.gitops else {stage.name for stage in plan.stages}
    texts = {
        f"{name}.yaml": header + (ORDER if name in stages else "") + render_manifests(objects)
        for name, objects in files.items()
    }
    if args.gitops:
        texts["kustomization.yaml"] = header + render_manifests([KUSTOMIZATION | {"resources": list(texts)}])
    return write_folder(Path(args.out_dir), texts, header, check=args.check, what="rendered")


def _all_files(plan: Plan) -> Files:
    """Return every object that `apply` would create, a file for each stage."""
    files: Files = {stage.name: prepare(plan, stage) for stage in plan.stages}
    return {"plan": [plan_map(plan)], "driver": [driver_job(plan, bundle("driver").digest)], **files}


def _gitops_files(plan: Plan) -> Files:
    """Return what may be in Git: objects that can be applied again. The driver creates the others."""
    code = bundle("driver")
    text = json.dumps(to_json(plan), indent=1, ensure_ascii=False)
    config_map = bundle_map(plan, text, [bundle("stage"), code])
    name = config_map["metadata"]["name"]
    driver = driver_job(plan, code.digest, bundle=name)
    return {"plan": [plan_map(plan)], "bundle": [config_map], "driver": [driver]}
