"""`k8s/` as `kubectl apply -k` would have it, in another namespace. kubectl is not needed."""

from __future__ import annotations

from ruamel.yaml import YAML

from tests.conftest import REPOSITORY


def base(namespace):
    """The objects of k8s/base, with what its kustomization.yaml adds."""
    folder = REPOSITORY / "k8s" / "base"
    yaml = YAML(typ="safe", pure=True)
    kustomization = yaml.load(folder / "kustomization.yaml")
    labels = {k: v for entry in kustomization["labels"] for k, v in entry["pairs"].items()}
    for name in kustomization["resources"]:
        for item in yaml.load_all(folder / name):
            metadata = item["metadata"]
            metadata |= {"namespace": namespace, "labels": {**metadata.get("labels", {}), **labels}}
            for subject in item.get("subjects", ()):
                subject.setdefault("namespace", namespace)
            yield item
