"""An API server at HTTP level for tests, with a Job controller whose pods end as a test says.

    with FakeApi() as api:
        client = Client(Access(api.url, "team", Anonymous()))

It keeps resource versions, history, managed fields and pages, answers watches, and does on demand what real servers
do to their clients: 409, 410, 429, 5xx, broken connections, silence, restarts, tokens that expire. Nothing of the
product is patched. PyPI's `kmock` has no resource versions, no server-side apply, no pages and no history that expires.
"""

from tests.fake_api.jobs import Ending, JobController
from tests.fake_api.objects import Refusal, refusing
from tests.fake_api.server import FakeApi, Fault
from tests.fake_api.state import State

__all__ = ["Ending", "FakeApi", "Fault", "JobController", "Refusal", "State", "refusing"]
