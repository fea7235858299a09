"""What a stage may spend, kept before each request and not after it: a bound that holds while many are under way."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from c2f_spec.errors import StageSpecWrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.endpoint import Client
    from runtime.endpoints.replies import Reply


class Budget:
    """Of one pod: its part of `max_cost`."""

    def __init__(self, client: Client, shards: int, spent: float = 0.0) -> None:
        self._client = client
        self._most = None if client.max_cost is None else client.max_cost / shards
        self.spent = spent
        """So far, earlier attempts included."""
        self._reserved = 0.0
        self._longest_in = 0
        """Tokens of a prompt, as far as replies told; until the first one does, requests go one by one."""
        self._under_way = 0
        self._lock = threading.Condition()

    @contextmanager
    def reserve(self, max_tokens: int) -> Iterator[None]:
        """Room for one request: the longest prompt so far and the longest reply. Raises `StageSpecWrong` without.

        What is under way may cost less than was set aside for it, so nobody is refused before that is known.
        """
        with self._lock:
            while self._under_way and not self._fits(max_tokens):
                self._lock.wait()
            if not self._fits(max_tokens):
                raise StageSpecWrong(
                    f"the budget is spent: {self.spent:.2f} of {self._most:.2f} (`client.max_cost` over the pods)",
                    hint="what was answered is kept: raise it, then `c2f-spec retry`",
                )
            amount = self._client.cost(self._longest_in, max_tokens)
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
        """Until the first reply tells how long prompts are, only one fits at a time."""
        if self._most is None:
            return True
        known = bool(self._longest_in) or not self._under_way
        amount = self._client.cost(self._longest_in, max_tokens)
        return known and self.spent + self._reserved + amount <= self._most

    def charge(self, reply: Reply) -> float:
        """Cost of a reply. Raises `StageSpecWrong` for one without counts, where a budget is to be kept."""
        if reply.tokens_in is None or reply.tokens_out is None:
            if self._most is not None:
                raise StageSpecWrong(
                    "the endpoint does not count tokens, so no budget can be kept",
                    hint="leave `client.max_cost` out, or ask an endpoint that sends `usage`",
                )
            return 0.0
        cost = self._client.cost(reply.tokens_in, reply.tokens_out)
        with self._lock:
            self.spent += cost
            self._longest_in = max(self._longest_in, reply.tokens_in)
        return cost
