"""How the endpoint of a model is asked, by a teacher or by a judge. In no key: the same is asked, sooner or later."""

from typing import Annotated

from pydantic import Field, PositiveInt

from c2f_spec.spec.base import PLACEMENT, Positive, SpecModel

Concurrency = Annotated[int, Field(ge=1, le=1024)]


class Client(SpecModel):
    """How fast, how patiently and for how much an endpoint is asked; a change re-runs nothing."""

    concurrency: Concurrency = Field(
        default=8, description="Requests of a pod that are under way at once.", json_schema_extra=PLACEMENT
    )
    requests_per_minute: PositiveInt | None = Field(
        default=None,
        description="Most requests a minute of all pods together; absent: as many as the endpoint takes.",
        json_schema_extra=PLACEMENT,
    )
    timeout: Positive = Field(
        default=120.0,
        description="Seconds within which a reply is whole; what takes longer is asked again.",
        json_schema_extra=PLACEMENT,
    )
    price_in: Positive | None = Field(
        default=None,
        description="Price of a million tokens that are sent, in any currency.",
        json_schema_extra=PLACEMENT,
    )
    price_out: Positive | None = Field(
        default=None,
        description="Price of a million tokens that come back.",
        json_schema_extra=PLACEMENT,
    )
    max_cost: Positive | None = Field(
        default=None,
        description="Most that a stage may cost, of all pods and attempts; needs both prices. What was answered stays.",
        json_schema_extra=PLACEMENT,
    )

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return the price of these tokens; `None` without a price."""
        return (tokens_in * (self.price_in or 0.0) + tokens_out * (self.price_out or 0.0)) / 1e6
