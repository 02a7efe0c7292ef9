"""Building blocks of tiny lakes: encoded XDR with holes, and the demo's accounts.

Imports the Stellar SDK: load it lazily.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import pack

from stellar_sdk import Keypair

VOID = pack(">i", 0)
STATE, CREATED, UPDATED = 3, 0, 1
"""LedgerEntryChangeType."""


def mark_int(name: str) -> int:
    """A positive int64 that stands for ``name`` in encoded XDR."""
    return int.from_bytes(hashlib.sha256(f"int {name}".encode()).digest()[:7], "big")


def mark_bytes(name: str) -> bytes:
    """32 bytes that stand for ``name`` in encoded XDR."""
    return hashlib.sha256(f"bytes {name}".encode()).digest()


AMOUNT, SEQUENCE, COUNTER = mark_int("amount"), mark_int("sequence"), mark_int("counter")
NEWCOMER = Keypair.from_raw_ed25519_seed(mark_bytes("newcomer"))
INNER_HASH, SUCCESS_HASH = mark_bytes("inner hash"), mark_bytes("success hash")
MODIFIED = mark_int("modified") & 0x7FFFFFFF


@dataclass(frozen=True)
class Mold:
    """XDR bytes with markers to be replaced by values of the same length."""

    data: bytes
    holes: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, data: bytes) -> Mold:
        """Find the known markers in ``data``."""
        marks = {
            "amount": pack(">q", AMOUNT),
            "sequence": pack(">q", SEQUENCE),
            "counter": pack(">Q", COUNTER),
            "modified": pack(">I", MODIFIED),
            "newcomer": NEWCOMER.raw_public_key(),
            "inner_hash": INNER_HASH,
            "success_hash": SUCCESS_HASH,
        }
        holes = []
        for name, mark in marks.items():
            at = data.find(mark)
            while at >= 0:
                holes.append((name, at))
                at = data.find(mark, at + len(mark))
        return cls(data, tuple(holes))

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The bytes with every marker replaced; KeyError when a value is missing."""
        filled = bytearray(self.data)
        for name, at in self.holes:
            value = values[name]
            filled[at : at + len(value)] = value
        return bytes(filled)


@dataclass
class DemoAccount:
    """One account's balance, sequence number and the ledger that last changed it."""

    keypair: Keypair
    balance: int = 10_000_000 * 10**7
    sequence: int = 0
    modified: int = 0

    def entry(self, change_type: int) -> bytes:
        """One LedgerEntryChange that shows the account as it is."""
        key = VOID + self.keypair.raw_public_key()
        tail = pack(">IIIIIII", 0, 0, 0, 0, 0x01000000, 0, 0)
        return (
            pack(">iIi", change_type, self.modified, 0)
            + key
            + pack(">qq", self.balance, self.sequence)
            + tail
            + VOID
        )


@dataclass
class Cast:
    """The demo's accounts and its contract's state."""

    network_passphrase: str
    seed: int
    accounts: dict[str, DemoAccount] = field(init=False)
    counter: int = 0
    counter_modified: int = 0

    def __post_init__(self) -> None:
        names = ("alice", "bob", "carol", "sponsor", "validator")
        self.accounts = {name: DemoAccount(self.keypair(name)) for name in names}

    def keypair(self, name: str) -> Keypair:
        """The deterministic key of ``name`` under this seed."""
        secret = hashlib.sha256(f"bronze demo {self.seed} {name}".encode()).digest()
        return Keypair.from_raw_ed25519_seed(secret)

    @property
    def contract(self) -> bytes:
        """Identifier of the demo's counter contract."""
        return hashlib.sha256(f"bronze demo contract {self.seed}".encode()).digest()


def vector(items: list[bytes]) -> bytes:
    """An XDR variable-length array of encoded items."""
    return pack(">I", len(items)) + b"".join(items)
