"""The HTTP client of models that speak the OpenAI protocol: a teacher or an LLM judge behind an endpoint.

    chat_client.py  requests, retries and the rate limit
    budget.py       the cost of requests, against `client.max_cost`
    replies.py      the reply in an HTTP answer, or the error

Prompts and the use of answers are elsewhere (`runtime.teachers`, `runtime.filters`): no result depends on this package.
"""
