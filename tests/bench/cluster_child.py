"""One apply of a file of manifests, in a process of its own, for `cluster.py`: prints what it took as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from c2f_spec.targets.kubernetes import bulk_apply
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous, find_access


def client_of(server: str | None, namespace: str) -> Client:
    """`server` is absent for the one of KUBECONFIG."""
    access = Access(server, namespace, Anonymous()) if server else find_access()
    return Client(access, namespace=namespace)


def apply(namespace: str, file: Path, server: str | None) -> dict:
    client = client_of(server, namespace)
    made = json.loads(file.read_bytes())["items"]
    start = time.monotonic()
    applied = bulk_apply.apply_all(client, [[item] for item in made])
    return {
        "apply": time.monotonic() - start,
        "requests": client.transport.requests,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **applied._asdict(),
    }


if __name__ == "__main__":
    print(json.dumps(apply(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)))
