"""How the fake server says no."""

from __future__ import annotations


class Refusal(Exception):
    """A `Status` of failure."""

    def __init__(self, code, reason, message, causes=()) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason, causes

    def status(self):
        return {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": str(self),
            "details": {"causes": [{"field": f, "message": m} for f, m in self.causes]},
        }
