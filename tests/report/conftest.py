"""A small store with its report, and a tab of a browser."""

from __future__ import annotations

import pytest

from c2f_spec.report.collect import collect
from tests.support.browser import opened
from tests.support.report_store import filled


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(store):
    return collect(store.plan, store.objects)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    pytest.importorskip("websocket")
    with opened(tmp_path_factory.mktemp("browser")) as tab:
        yield tab
