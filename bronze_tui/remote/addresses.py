"""From the endpoint's host to addresses that may be connected to, asked anew for each connection:
what a name resolves to can change between a check and a use."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.endpoint import Address, Endpoint, refusal_of
from bronze_tui.domain.errors import StoreUnavailable

Lookup = Callable[[str, int], list[Any]]
"""Host and port to what ``socket.getaddrinfo`` gives."""


@dataclass(frozen=True, slots=True)
class Named:
    """How the operator named an address, and what allows one that is not public; for errors."""

    setting: str
    """Setting or option that holds the address."""
    permit: str
    """What allows addresses of this machine and of private networks."""
    use: str = "asked"
    """What was to be done there, as a participle."""


POSTED = Named("pas.endpoint", "pas.allow_private", "posted")


def lookup(host: str, port: int) -> list[Any]:
    """The machine's own resolver, asked for TCP."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def checked_addresses(
    endpoint: Endpoint, *, allow_private: bool, resolve: Lookup = lookup, named: Named = POSTED
) -> list[str]:
    """Addresses of the endpoint's host, each of them allowed.

    One that is not allowed refuses the whole name: a mixed answer is what an attack looks like.

    Raises:
        StoreUnavailable: the name does not resolve, or not to what is allowed. It may do so
            later, and no request is to blame.
    """
    addresses = _addresses(endpoint, resolve, named)
    for address in addresses:
        why = refusal_of(endpoint, address, allow_private=allow_private, permit=named.permit)
        if why:
            raise StoreUnavailable(
                f"not {named.use}: {endpoint.host} resolves to what is not allowed: {why}",
                where=endpoint.shown,
                todo=f"check {named.setting} and the name server; {named.permit} is for"
                " private networks",
            )
    return [str(address) for address in addresses]


def _addresses(endpoint: Endpoint, resolve: Lookup, named: Named) -> list[Address]:
    literal = endpoint.literal
    if literal is not None:
        return [literal]
    try:
        found = resolve(endpoint.host, endpoint.port)
        texts = dict.fromkeys(str(entry[4][0]) for entry in found)
        # A zone says which interface; link-local addresses are refused with or without it.
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
    except (OSError, UnicodeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StoreUnavailable(
            f"{endpoint.host} does not resolve ({why})",
            where=endpoint.shown,
            todo=f"check {named.setting} and the name server",
        ) from error
    if not addresses:
        raise StoreUnavailable(f"{endpoint.host} has no address", where=endpoint.shown)
    return addresses
