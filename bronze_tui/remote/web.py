"""One web server that is read from: checked addresses, bounded answers, a few tries.

An answer that is not whole is none; redirects are not followed. The rules about addresses are
those for audit events (``bronze_tui.domain.endpoint``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from bronze_tui import __version__
from bronze_tui.domain.endpoint import Endpoint, parse_endpoint, refusal_of
from bronze_tui.domain.errors import (
    SourceDataError,
    SourceDenied,
    SourceUnavailable,
    StoreUnavailable,
    UsageError,
)
from bronze_tui.domain.text import safe_text
from bronze_tui.remote.addresses import Lookup, Named, lookup
from bronze_tui.remote.wire import Answer, Wire

ATTEMPTS = 3
_PAUSE = 0.5
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


class Web:
    """One server; safe to call from several threads.

    Args:
        url: ``https`` (or ``http`` within this machine and private networks) and a path.
        most: bytes that one answer may have.
        token: sent as bearer token, and never shown.
        named: the option that holds the address, for errors.
        seconds: for one request in all.
        pause: waits between tries; for tests.

    Raises:
        UsageError: the address is none, or plainly one that may not be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        most: int,
        named: Named,
        allow_private: bool = False,
        token: str = "",
        seconds: float = 20.0,
        resolve: Lookup = lookup,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        try:
            self.endpoint: Endpoint = parse_endpoint(url, token="the environment")  # noqa: S106
        except ValueError as error:
            raise UsageError(f"the address {error}", where=named.setting) from None
        literal = self.endpoint.literal
        why = literal and refusal_of(
            self.endpoint, literal, allow_private=allow_private, permit=named.permit
        )
        if why:
            raise UsageError(f"not asked: {why}", where=named.setting)
        self.where = f"{self.endpoint.scheme}://{self.endpoint.authority}"
        """For people: the host alone, because a path may hold a key."""
        self._token, self._most, self._pause = token, most, pause
        self._lock = threading.Lock()
        self._wire = Wire(
            self.endpoint,
            allow_private=allow_private,
            resolve=resolve,
            seconds=seconds,
            most=most,
            named=named,
        )

    def get(self, name: str) -> bytes | None:
        """The body below the address, or None where the server has none (404, 410).

        Raises:
            SourceUnavailable, SourceDenied, SourceDataError.
        """
        answer = self._ask("GET", self.endpoint.below(name), {}, b"", ATTEMPTS)
        if answer.status in (404, 410):
            return None
        return self._body(answer, name)

    def post(self, body: bytes, *, attempts: int = ATTEMPTS) -> bytes:
        """What the server answers to a JSON document.

        Raises:
            SourceUnavailable, SourceDenied, SourceDataError.
        """
        headers = {"Content-Type": "application/json"}
        answer = self._ask("POST", self.endpoint.target, headers, body, attempts)
        return self._body(answer, "")

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._wire.close()

    def _ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, attempts: int
    ) -> Answer:
        own = {
            "User-Agent": f"bronze-tui/{__version__}",
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        for left in range(attempts - 1, -1, -1):
            try:
                with self._lock:
                    answer = self._wire.ask(method, target, {**own, **headers}, body)
            except StoreUnavailable as error:
                if not left:
                    raise SourceUnavailable(error.what, where=self.where, todo=error.todo) from None
            else:
                if answer.status not in _RETRYABLE or not left:
                    return answer
            self._pause(_PAUSE * (attempts - left))
        raise AssertionError("unreachable")

    def _body(self, answer: Answer, name: str) -> bytes:
        where = f"{self.where} {name}".rstrip()
        words = safe_text(f"answered {answer.status} {answer.reason}".strip())[:120]
        if 300 <= answer.status < 400:
            text = f"{words}: it redirects, which is not followed"
            raise SourceDenied(text, where=where, todo="give the address that it redirects to")
        if answer.status in _RETRYABLE:
            raise SourceUnavailable(words, where=where, todo="try again later")
        if not 200 <= answer.status < 300:
            raise SourceDenied(words, where=where, todo="check the address and the right to read")
        if answer.cut:
            raise SourceDataError(f"the answer is longer than {self._most:,} bytes", where=where)
        length = answer.headers.get("content-length", "")
        if length.isdecimal() and int(length) != len(answer.body):
            raise SourceUnavailable("the answer was cut off", where=where, todo="try again later")
        return answer.body
