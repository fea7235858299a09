"""An API server at HTTP level for tests, with a Job controller that can be told how pods end.

    with FakeApi() as api:
        client = Client(Access(api.url, "team", Nobody()))

It keeps resource versions, history, managed fields and pages, answers watches, and does on demand what real servers
do to their clients: 409, 410, 429, 5xx, broken connections, silence, restarts, tokens that expire. Nothing of ours is
patched. PyPI's `kmock` was looked at first: it has no resource versions, no server-side apply, no pages and no
history to expire, which is what is tested here.
"""

from tests.fake_api.jobs import Ending, JobController
from tests.fake_api.refusal import Refusal
from tests.fake_api.server import FakeApi, Fault
from tests.fake_api.state import State

__all__ = ["Ending", "FakeApi", "Fault", "JobController", "Refusal", "State"]
