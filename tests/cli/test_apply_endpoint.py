"""A spec whose teacher is behind an endpoint, applied as its user does it."""

from __future__ import annotations

import pytest

from tests.support.distil_world import canonical
from tests.support.fake_endpoint import Fake, serving

SPEC = """\
c2f: v1
name: asked
data: {{train: icwsm2014-movie, limit: {{train: 6, valid: 2, test: 2}}, render_seed: 1}}
student: tiny
teacher:
  kind: openai
  model: fake-2026
  endpoint: {url}
  secret: teacher-key
  client: {{price_in: 1, price_out: 4, max_cost: {cost}}}
filters: {{length: null, sections: null, min_keep_fraction: 0}}
"""
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def endpoint():
    """A fake endpoint whose answers lack the number that `canonical` expects: the clip's words are real ones."""

    def respond(body):
        text = body["messages"][-1]["content"][-1]["text"]
        body["messages"][-1]["content"][-1]["text"] = f"I said number {len(text)})"
        return canonical(body)

    return Fake(respond, key=KEY)


def test_the_stage_finds_the_endpoint_and_the_key_and_stores_no_key(c2f, repository, endpoint):
    path = repository / "specs" / "asked.yaml"
    c2f.environment["C2F_SECRET_TEACHER_KEY"] = KEY
    with serving(endpoint) as url:
        path.write_text(SPEC.format(url=url, cost=5))
        assert "clips 6, chains 6" in c2f("apply", "specs/asked.yaml", "--no-report").stdout
    assert len(endpoint.bodies) == 6
    stored = [p for p in (repository / ".c2f").rglob("*") if p.is_file()]
    assert not [p for p in stored if KEY.encode() in p.read_bytes()]
