"""Whether the audit endpoint answers; no event is posted to it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from bronze_tui.domain.endpoint import Address, Endpoint, parse_endpoint, refusal_of
from bronze_tui.domain.errors import Exit
from bronze_tui.domain.text import safe_text
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("endpoint")
_TIMEOUT = 8.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: status, seconds it took, and its clock before ours in seconds."""

    status: int
    seconds: float
    ahead: float | None


def checks(subject: Subject) -> Iterator[Finding]:
    """Addresses first, then one GET; any status is an answer."""
    pas = subject.settings.pas
    if not pas.endpoint or not pas.enabled:
        yield NOTES.none("endpoint", "no audit endpoint is used")
        return
    try:
        target = parse_endpoint(pas.endpoint)
    except ValueError as error:
        yield NOTES.fail("address", f"pas.endpoint {error}", code=Exit.USAGE)
        return
    shown, host = f"{target.scheme}://{target.authority}", target.host
    todo = "check pas.endpoint, the name server and firewalls between"
    try:
        addresses = resolve(pas.endpoint)
    except OSError as error:
        text = f"{host} does NOT resolve"
        yield NOTES.fail("address", text, str(error.strerror), todo, Exit.UNREACHABLE)
        return
    found = _rules(target, addresses, allow_private=pas.allow_private)
    yield found
    if found.state == "fail":
        # A post would be refused, so nothing is asked either.
        return
    try:
        answer = ask(pas.endpoint, "/health")
    except (OSError, http.client.HTTPException) as error:
        why = _cause(error)
        yield NOTES.fail("reach", f"{shown} does NOT answer", why, todo, Exit.UNREACHABLE)
        return
    if answer.ahead is not None:
        subject.server_times.append((host, answer.ahead))
    text = f"{shown} answers ({answer.status}, {answer.seconds * 1000:,.0f} ms)"
    if answer.status in (401, 403):
        todo = "see that the credentials of pas.endpoint are right; no event was posted"
        yield NOTES.warn("reach", text, "it asks who we are", todo)
    elif answer.status >= 500:
        todo = "the receiver itself is in trouble; ask its operator"
        yield NOTES.warn("reach", text, "it answers with an error", todo)
    else:
        yield NOTES.ok("reach", text, "asked without posting an event")


def _rules(target: Endpoint, addresses: list[Address], *, allow_private: bool) -> Finding:
    """The emitter's own rules: one address that is not allowed refuses the name."""
    for address in addresses:
        why = refusal_of(target, address, allow_private=allow_private)
        if why:
            text = f"{target.host} is NOT an address that events may be posted to"
            todo = "check pas.endpoint; pas.allow_private: true is for private networks"
            return NOTES.fail("address", text, why, todo)
    return NOTES.ok("address", "the endpoint resolves", ", ".join(map(str, addresses[:3])))


def resolve(url: str) -> list[Address]:
    """Addresses of the URL's host.

    Raises:
        OSError: it has none.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(parts.hostname or "", port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def ask(url: str, path: str, method: str = "GET") -> Answer:
    """One request to the URL's server, without credentials; redirects are not followed.

    Raises:
        OSError, HTTPException: no answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
    try:
        begin, sent = time.perf_counter(), time.time()
        connection.request(method, path, headers={"User-Agent": "bronze-doctor"})
        response = connection.getresponse()
        seconds = time.perf_counter() - begin
        return Answer(
            response.status, seconds, _ahead(response.getheader("Date", ""), sent + seconds / 2)
        )
    finally:
        connection.close()


def _cause(error: Exception) -> str:
    """In the system's words, where it has some."""
    if isinstance(error, TimeoutError) and not error.strerror:
        return f"it took the connection and said nothing for {_TIMEOUT:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return safe_text(str(words))[:300]


def _ahead(date: str, ours: float) -> float | None:
    """The header has whole seconds: half a second is its middle."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - ours
    except (ValueError, TypeError, IndexError):
        return None
