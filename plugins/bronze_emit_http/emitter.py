"""Audit events over HTTP: ``POST`` of the event's exact bytes, idempotent by the event's hash.

What an answer means is decided here and nowhere else: taken, try again, refused, or another event
stands there.
"""

from __future__ import annotations

import json
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from bronze_tui import __version__
from bronze_tui.audit.canonical import recompute
from bronze_tui.audit.event import EventRejected, parse_event
from bronze_tui.config.redact import redact
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.endpoint import Endpoint, parse_endpoint
from bronze_tui.domain.errors import ConfigError, StateError, StoreRefused, StoreUnavailable
from bronze_tui.domain.text import safe_text
from bronze_tui.hooks.contracts import EmitterOptions
from bronze_tui.remote.addresses import Lookup, lookup
from bronze_tui.remote.wire import TOTAL_SECONDS, Answer, Wire

MAX_RETRY_AFTER = 300.0
"""Seconds; a server that asks for more is asked again after this."""
_RETRYABLE = frozenset({408, 425, 429})
_SHOWN = 200


class HttpEmitter:
    """Posts events to one endpoint; an ``Emitter``, safe to call from several threads.

    Raises:
        ConfigError: the endpoint is no address that events may be posted to.
    """

    def __init__(
        self,
        options: EmitterOptions,
        *,
        resolve: Lookup = lookup,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._endpoint = _endpoint(options.endpoint)
        self._token = options.token
        self._mutex = threading.Lock()
        self._wire = Wire(
            self._endpoint, allow_private=options.allow_private, resolve=resolve, seconds=seconds
        )

    def emit(self, data: bytes, event: AuditEvent) -> None:
        """Post one event.

        Raises:
            StoreUnavailable: not known to be taken, because of the network, a time-out, or an
                answer of 408, 425, 429 or 5xx.
            StoreRefused: any other answer but success. StateError: the endpoint holds another
                event at this place of the chain.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": event.event_hash}
        with self._mutex:
            answer = self._wire.ask("POST", self._endpoint.target, self._headers(headers), data)
            if 200 <= answer.status < 300:
                return
            if answer.status == 409:
                if not self._stands(answer, event):
                    self._conflict(answer, event)
                return
        self._not_taken(answer)

    def close(self) -> None:
        """Close the connection; an ``emit`` under way fails with StoreUnavailable."""
        self._wire.close()

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        own = {
            "User-Agent": f"bronze-tui/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        secret = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**own, **more, **secret}

    def _stands(self, answer: Answer, event: AuditEvent) -> bool:
        """Whether a 409 means that this very event is there already: its body says so, or the
        event can be read back."""
        if _object(answer.body).get("event_hash") == event.event_hash:
            return True
        if _is_event(answer.body, event.event_hash):
            return True
        target = self._endpoint.below(event.event_hash)
        found = self._wire.ask("GET", target, self._headers({}), b"")
        if found.status >= 500 or found.status in _RETRYABLE:
            self._not_taken(found)
        return found.status == 200 and _is_event(found.body, event.event_hash)

    def _conflict(self, answer: Answer, event: AuditEvent) -> NoReturn:
        expected = _object(answer.body).get("head")
        told = f"; the endpoint's head is {expected or 'none'}" if expected is not None else ""
        raise StateError(
            self._clean(
                f"the endpoint holds another event after {event.prev_event_hash or 'none'}"
                f"{told}: {self._words(answer)}"
            ),
            where=self._endpoint.shown,
            todo="compare its chain with ours (bronze verify); if it lost events, bronze pas"
            " retry --all sends them again",
        )

    def _not_taken(self, answer: Answer) -> NoReturn:
        what = self._clean(f"answered {self._words(answer)}")
        where = self._endpoint.shown
        if answer.status >= 500 or answer.status < 200 or answer.status in _RETRYABLE:
            error = StoreUnavailable(what, where=where, todo="look at the server")
            error.retry_after = retry_after(answer.headers.get("retry-after", ""))
            raise error
        if answer.status < 400:
            place = self._clean(answer.headers.get("location", "elsewhere"))
            raise StoreRefused(
                f"{what}: it redirects to {place}, which is not followed",
                where=where,
                todo="set pas.endpoint to where events are taken, then bronze pas retry",
            )
        todo = "mend the cause, then bronze pas retry"
        if answer.status in (401, 403):
            todo = "set pas.token to one that may post, then bronze pas retry"
        raise StoreRefused(what, where=where, todo=todo)

    def _words(self, answer: Answer) -> str:
        """Status and what the body says, short."""
        said = _object(answer.body).get("error")
        text = said if isinstance(said, str) else answer.body.decode("utf-8", "replace")
        words = f"{answer.status} {answer.reason}".strip()
        return f"{words} ({text.strip()})" if text.strip() else words

    def _clean(self, text: str) -> str:
        # A server may echo what it was sent, also into the middle of what is cut off here.
        return safe_text(redact(text, known=(self._token,)))[: 2 * _SHOWN]


def retry_after(text: str) -> float | None:
    """Seconds of a ``Retry-After`` header in either form (RFC 9110, 10.2.3), capped; None when it
    says nothing usable."""
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        left = moment.timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return min(max(0.0, left), MAX_RETRY_AFTER)


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise ConfigError([f"pas.endpoint: {error}"]) from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        doc = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return doc if isinstance(doc, dict) else {}


def _is_event(body: bytes, event_hash: str) -> bool:
    try:
        event = parse_event(body, where="")
    except EventRejected:
        return False
    return event.event_hash == event_hash == recompute(event)
