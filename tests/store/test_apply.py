"""`apply` on this machine with its store in a bucket: the same stages, the same words, and nothing of it in a folder."""

from __future__ import annotations

import os

from c2f_spec.store import records
from c2f_spec.store.open import open_store
from tests.conftest import DOMAINS, HERE


def test_from_data_to_report_in_a_bucket(url_of, c2f, repository, tiny_spec, tmp_path):
    url = url_of("seaweed")
    c2f.environment.update(os.environ)
    (repository / "here.yaml").write_text(
        f"c2f: v1\nkind: local\nstore: {url}\ntracking: sqlite:///.c2f/mlflow.db\nparallel: 2\ndemo: true\n"
    )
    place = ("--on", "here", "--environments", ".")
    objects = open_store(url)
    incoming = tmp_path / "copy"
    incoming.mkdir()
    file = f"{DOMAINS['movie']}_GroundTruth.txt"
    (incoming / file).write_bytes((HERE / "data" / "icwsm2014" / file).read_bytes())
    records.add_dataset(objects, "icwsm2014-movie", incoming, {"name": "icwsm2014-movie"})

    done = c2f("apply", "specs/tiny.yaml", *place)
    assert done.stdout.splitlines()[-1] == f"report: {url}/reports/tiny-stages/report.html"
    assert objects.size("reports/tiny-stages/report.html")
    made = {name.split("/")[1]: name.split("/")[2].removesuffix(".json") for name in objects.names("records")}
    assert set(made) == {"prepare", "distil", "filter"}
    record = records.read_record(objects, "prepare", made["prepare"])
    assert {e.shard for path, e in record.files.items() if path.startswith("clips/")} == {"shards/00000.tar"}
    for kind, key in made.items():
        records.verify(objects, records.read_record(objects, kind, key))
    assert c2f("apply", "specs/tiny.yaml", *place).stdout.startswith("nothing to do: all 3 stages")
    assert not (repository / ".c2f" / "store" / "records").exists()
