"""The stores that one contract is held against: a folder, SeaweedFS, a server without conditional writes, and any
real bucket that `C2F_TEST_S3_URL` names (with its credentials in the environment).
"""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack

import pytest

from c2f_spec.store import cache
from c2f_spec.store.open import open_store
from tests.support.servers import BUCKET, seaweed, unconditional

KINDS = ["folder", "seaweed", "unconditional", *(["real"] if "C2F_TEST_S3_URL" in os.environ else [])]


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Each is started when the first test wants it."""
    with ExitStack() as stack:
        known = {}

        def server(kind):
            if kind not in known:
                start = {"seaweed": seaweed, "unconditional": unconditional}[kind]
                known[kind] = stack.enter_context(start(tmp_path_factory.mktemp(kind) / "data"))
            return known[kind]

        yield server


@pytest.fixture
def url_of(servers, tmp_path, monkeypatch):
    """`url_of(kind)`: the address of an empty store, with this process's environment set for it."""
    monkeypatch.setenv("C2F_HOME", str(tmp_path / "home"))
    cache.machine_cache.cache_clear()

    def make(kind: str) -> str:
        if kind == "folder":
            return str(tmp_path / "store")
        prefix = uuid.uuid4().hex
        if kind == "real":
            return f"{os.environ['C2F_TEST_S3_URL'].rstrip('/')}/{prefix}"
        for name, value in servers(kind).env.items():
            monkeypatch.setenv(name, value)
        return f"s3://{BUCKET}/{prefix}"

    yield make
    cache.machine_cache.cache_clear()


@pytest.fixture(params=KINDS)
def objects(request, url_of):
    return open_store(url_of(request.param))
