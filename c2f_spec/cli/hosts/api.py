"""JSON over HTTP with a token: retried where that helps, and told in one sentence where it does not."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from c2f_spec.errors import Unreachable, short

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that a server may ask us to wait."""
PAGE = 100
MOST_PAGES = 50
WORTH_ANOTHER_TRY = (429, 500, 502, 503, 504)


class Api(NamedTuple):
    """The root of an API, and the header that says who we are."""

    url: str
    token: tuple[str, str]
    """Name and value of the header. It is sent to this host alone: redirects are not followed."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer as data. Raises `Unreachable`, without the token in its words."""
        for attempt in range(TRIES):
            request = urllib.request.Request(  # noqa: S310  the scheme is checked by `checked`
                checked(f"{self.url}/{path}"),
                None if body is None else json.dumps(body).encode(),
                {
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                    self.token[0]: self.token[1],
                },
                method=method,
            )
            try:
                with OPENER.open(request, timeout=30) as answer:
                    data = answer.read()
                    return json.loads(data) if data else None
            except urllib.error.HTTPError as error:
                limited = error.code == 403 and error.headers.get("Retry-After")
                if attempt + 1 == TRIES or (error.code not in WORTH_ANOTHER_TRY and not limited):
                    raise _refused(method, path, error) from None
                time.sleep(_wait(error.headers.get("Retry-After"), attempt))
            except OSError as error:
                if attempt + 1 == TRIES or method == "POST":  # it may have arrived
                    raise Unreachable(f"{urlsplit(self.url).netloc} does not answer: {error}") from None
                time.sleep(_wait(None, attempt))
        raise AssertionError("the last try returns or raises")

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list."""
        for number in range(1, MOST_PAGES + 1):
            found = self.call("GET", f"{path}?{urlencode({**query, 'per_page': PAGE, 'page': number})}")
            yield from found
            if len(found) < PAGE:
                return


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token must not follow to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def checked(url: str) -> str:
    """Raises `Unreachable` if a token would be sent where it should not."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise Unreachable(f"{short(url)} is no address of an API", hint="http or https")
    return url


def _wait(asked: str | None, attempt: int) -> float:
    """Seconds."""
    if asked and asked.isdigit():
        return min(float(asked), LONGEST_WAIT)
    return 0.5 * 2.0**attempt


def _refused(method: str, path: str, error: urllib.error.HTTPError) -> Unreachable:
    hints = {
        401: "the token is not valid",
        403: "the token may not write comments: `pull-requests: write`, or the scope `api`",
        404: "the token may not see it, or the pull request is not there",
    }
    said = short(error.read(500).decode("utf-8", "replace").replace("\n", " "), 200)
    return Unreachable(
        f"{method} {path.split('?', maxsplit=1)[0]}: {error.code} {said}", hint=hints.get(error.code, "")
    )
