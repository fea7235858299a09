"""The budget of a stage: cost is reserved before each request, so that the bound holds while many are under way."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidStageSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.endpoint import Client
    from runtime.endpoints.replies import Reply


class Budget:
    """The budget of one pod: its part of `max_cost`."""

    def __init__(self, client: Client, shards: int, spent: float = 0.0) -> None:
        self._client = client
        self._limit = None if client.max_cost is None else client.max_cost / shards
        self.spent = spent
        """Cost so far, earlier attempts included, in the currency of `max_cost`."""
        self._reserved = 0.0
        self._longest_prompt = 0
        """Tokens of the longest prompt, from replies; until the first reply, requests go one by one."""
        self._under_way = 0
        self._lock = threading.Condition()

    @contextmanager
    def reserve(self, max_tokens: int) -> Iterator[None]:
        """Reserve the cost of one request: the longest prompt so far and the longest reply.

        Raises `InvalidStageSpec` if the budget is spent. Requests under way may cost less than they reserved, so this
        waits for them first.
        """
        with self._lock:
            while self._under_way and not self._fits(max_tokens):
                self._lock.wait()
            if not self._fits(max_tokens):
                raise InvalidStageSpec(
                    f"the budget is spent: {self.spent:.2f} of {self._limit:.2f} (`client.max_cost` over the pods)",
                    hint="raise `client.max_cost`, then run `c2f-spec retry`: answers so far are kept",
                )
            amount = self._client.cost(self._longest_prompt, max_tokens)
            self._reserved += amount
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= amount
                self._under_way -= 1
                self._lock.notify_all()

    def _fits(self, max_tokens: int) -> bool:
        """Return whether a request fits. Until the first reply shows how long prompts are, one fits at a time."""
        if self._limit is None:
            return True
        known = bool(self._longest_prompt) or not self._under_way
        amount = self._client.cost(self._longest_prompt, max_tokens)
        return known and self.spent + self._reserved + amount <= self._limit

    def charge(self, reply: Reply) -> float:
        """Return the cost of a reply and add it. Raises `InvalidStageSpec` for one without token counts if there is a limit."""
        if reply.tokens_in is None or reply.tokens_out is None:
            if self._limit is not None:
                raise InvalidStageSpec(
                    "the endpoint does not report token counts (`usage`), so `client.max_cost` cannot be enforced",
                    hint="remove `client.max_cost`, or use an endpoint that sends `usage`",
                )
            return 0.0
        cost = self._client.cost(reply.tokens_in, reply.tokens_out)
        with self._lock:
            self.spent += cost
            self._longest_prompt = max(self._longest_prompt, reply.tokens_in)
        return cost
