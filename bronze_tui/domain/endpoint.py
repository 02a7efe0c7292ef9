"""Where HTTP requests go: an address taken apart strictly, and which network addresses a request
may reach. Pure text and numbers: nothing is resolved or connected here.

Software disagrees about unusual spellings (``2130706433``, ``0x7f.1``), so that a check of one
reading proves nothing about another; only the usual spelling is accepted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Reach = Literal["global", "private", "loopback", "never"]

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?i)[0-9]+|0x[0-9a-f]*")
_TARGET = re.compile(r"[!-~]*")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Services that hand out a machine's credentials to whoever asks; the link-local one is covered.
_METADATA = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that may be asked, as far as its text can tell."""

    scheme: str
    host: str
    """Lowercase name without a final dot, or a literal address without brackets."""
    port: int
    target: str
    """Path and query of the request line; never empty."""

    @property
    def literal(self) -> Address | None:
        """The address that the host is written as; None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """``host:port`` as the ``Host`` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For people: without the query, which may hold a key."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"

    @property
    def names_this_machine(self) -> bool:
        """Whether the host is plainly this machine: ``localhost`` or a literal loopback."""
        literal = self.literal
        return self.host == "localhost" or (literal is not None and reach(literal) == "loopback")

    def below(self, name: str) -> str:
        """The request target of ``name`` below the path; the query is kept."""
        path, question, query = self.target.partition("?")
        return f"{path.rstrip('/')}/{name}{question}{query}"


def parse_endpoint(text: str, *, token: str = "pas.token") -> Endpoint:  # noqa: S107
    """Take an ``http`` or ``https`` address apart.

    Args:
        token: name of what holds a credential for it.

    Raises:
        ValueError: it is anything else, or its host is spelt in a way that software reads
            differently; the text says what, then what to do.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a valid URL; check host and port") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("is not an http or https address; write https://host/path")
    if "@" in parts.netloc:
        raise ValueError(f"holds credentials; remove them, {token} is for that")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if _TARGET.fullmatch(target) is None or _TARGET.fullmatch(text) is None or "\\" in text:
        raise ValueError("holds spaces, backslashes or other than ASCII; percent-encode them")
    if port == 0:
        raise ValueError("names port 0; write the server's port")
    return Endpoint(parts.scheme, _host(parts.hostname), port or _PORTS[parts.scheme], target)


def _host(text: str) -> str:
    host = text.lower().removesuffix(".")
    if "%" in host:
        raise ValueError("holds a zone (%); write an address that needs none")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise ValueError("has a number for a host; write an address as 203.0.113.7")
    if len(host) > 253 or _NAME.fullmatch(host) is None:
        raise ValueError("has no valid host name; write it in ASCII (punycode)")
    return host


def unmapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (v4-mapped, 6to4, Teredo, NAT64), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo is not None else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def reach(address: Address) -> Reach:
    """What a connection to ``address`` reaches.

    ``never`` is what no server lives at that we ask: link-local and cloud metadata, multicast,
    unspecified, reserved.
    """
    inner = unmapped(address)
    if str(inner) in _METADATA or inner.is_link_local or inner.is_multicast:
        return "never"
    if inner.is_loopback:
        return "loopback"
    if inner.is_unspecified or inner.is_reserved or inner in _THIS_NETWORK:
        return "never"
    site_local = isinstance(inner, ipaddress.IPv6Address) and inner.is_site_local
    return "global" if inner.is_global and not site_local else "private"


def refusal_of(
    endpoint: Endpoint, address: Address, *, allow_private: bool, permit: str = "pas.allow_private"
) -> str:
    """Why ``address`` may not be connected to; empty when it may.

    https is needed beyond this machine and private networks. This machine is allowed where the
    endpoint plainly names it, everything that is not public only with ``allow_private``.

    Args:
        permit: name of the setting or option behind ``allow_private``.
    """
    where = reach(address)
    if where == "never":
        return f"{address} is a link-local, metadata, multicast or reserved address"
    if where == "global":
        return "" if endpoint.scheme == "https" else f"{address} is public, and http has no TLS"
    if allow_private or (where == "loopback" and endpoint.names_this_machine):
        return ""
    kind = "this machine" if where == "loopback" else "a private address"
    return f"{address} is {kind}, and {permit} is not set"
