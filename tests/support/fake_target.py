"""A target that runs nothing: each stage ends one tick after it was submitted."""

from __future__ import annotations

from c2f_spec.targets.base import State, Status


class FakeTarget:
    def __init__(self, *, slots: int = 2, failing: set[str] = frozenset()) -> None:
        self.slots, self.failing = slots, failing
        self.states: dict[str, State] = {}
        self.kinds: dict[str, str] = {}
        self.submitted: list[str] = []
        self.vanishing: set[str] = set()
        self.most_at_once = 0

    def prepare(self, plan, stage):
        return stage

    def has_room(self, stage, beside):
        return len(beside) < self.slots

    def submit(self, *requests) -> None:
        for request in requests:
            self._start(request)

    def _start(self, request) -> None:
        if self.states.get(request.key) in (State.RUNNING, State.DONE):
            return
        self.submitted.append(request.key)
        self.states[request.key] = State.RUNNING
        self.kinds[request.key] = request.kind
        self.most_at_once = max(self.most_at_once, sum(s is State.RUNNING for s in self.states.values()))

    def state(self, stage) -> Status:
        return Status(self.states.get(stage.key, State.ABSENT))

    def logs(self, stage):
        yield from (["--- attempt 1"] if stage.key in self.submitted else [])

    def cancel(self, stage) -> None:
        if self.states.get(stage.key) is State.RUNNING:
            self.states[stage.key] = State.ABSENT

    def tick(self) -> None:
        for key, state in list(self.states.items()):
            if state is State.RUNNING:
                self.states[key] = State.FAILED if self.kinds.get(key) in self.failing else State.DONE
        for key in self.vanishing:
            self.states[key] = State.ABSENT
        self.vanishing.clear()
