"""Demo ledgers linked into a chain, each a valid LedgerCloseMeta V0, V1 or V2 as XDR bytes.

Imports the Stellar SDK: load it lazily.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from struct import pack

from stellar_sdk import Network
from stellar_sdk import xdr as x

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.tiny_molds import VOID, Cast, vector
from bronze_tui.testing.tiny_transactions import DemoTransaction, TransactionMaker

SECONDS_BETWEEN = 5
_EPOCH = 1_700_000_000
_TOTAL_COINS = 500_018_068_120_000_000
_SCP_VALUE = 4
_CYCLE: tuple[tuple[str, ...], ...] = (
    ("payment", "payments"),
    ("create", "payment"),
    ("bumped", "payment"),
    ("failed", "payment"),
    ("invoke", "payment"),
    (),
    ("payments", "create", "bumped", "failed", "invoke", "payment", "bumped_failed"),
    ("bumped_failed",),
)
_V0_CYCLE: tuple[tuple[str, ...], ...] = (
    ("payments", "rejected"),
    ("bumped", "failed"),
    (),
    ("payment", "create"),
)


@dataclass(frozen=True)
class DemoLedger:
    """One LedgerCloseMeta and what must be counted in it."""

    data: bytes
    sequence: int
    version: int
    ledger_hash: bytes
    close_time: int
    tx_count: int
    operation_count: int


@dataclass(frozen=True)
class _Plan:
    version: int
    protocol: int
    kinds: tuple[str, ...]
    upgrade: x.LedgerUpgrade | None = None


def demo_ledgers(ledgers: LedgerRange, network_passphrase: str, seed: int) -> Iterator[DemoLedger]:
    """The chain of ``ledgers``: a few V0, then V1, then V2, with upgrades where they change."""
    maker = _LedgerMaker(Cast(network_passphrase, seed), ledgers.start)
    for index, sequence in enumerate(range(ledgers.start, ledgers.end + 1)):
        yield maker.make(sequence, _plan(index, len(ledgers)))


def _plan(index: int, count: int) -> _Plan:
    """V0 closes with the upgrade to protocol 20, V1 with the one to 23."""
    v0_end = min(4, count // 4)
    v1_end = v0_end + (count - v0_end) // 2
    if index < v0_end:
        if index == v0_end - 1:
            return _Plan(0, 20, _V0_CYCLE[index % 4], _version_upgrade(20))
        return _Plan(0, 19, _V0_CYCLE[index % 4])
    kinds = _CYCLE[index % len(_CYCLE)]
    if index < v1_end:
        if index == v1_end - 1:
            return _Plan(1, 23, kinds, _version_upgrade(23))
        return _Plan(1, 20, kinds)
    upgrade = _set_size_upgrade() if index % 32 == 31 else None
    return _Plan(2, 23, kinds, upgrade)


def _version_upgrade(protocol: int) -> x.LedgerUpgrade:
    return x.LedgerUpgrade(
        x.LedgerUpgradeType.LEDGER_UPGRADE_VERSION, new_ledger_version=x.Uint32(protocol)
    )


def _set_size_upgrade() -> x.LedgerUpgrade:
    return x.LedgerUpgrade(
        x.LedgerUpgradeType.LEDGER_UPGRADE_MAX_TX_SET_SIZE, new_max_tx_set_size=x.Uint32(1000)
    )


class _LedgerMaker:
    """Keeps what one ledger hands to the next: hash, fee pool, accounts."""

    def __init__(self, cast: Cast, first: int) -> None:
        self._cast = cast
        self._network = Network(cast.network_passphrase).network_id()
        self._maker = TransactionMaker(cast)
        self._validator = cast.keypair("validator")
        self._fee_pool = 0
        self._hash = sha256(f"bronze demo ledger before {first} {cast.seed}".encode()).digest()
        for account in cast.accounts.values():
            account.sequence = account.modified = first - 1
            account.sequence <<= 32

    def make(self, sequence: int, plan: _Plan) -> DemoLedger:
        """The next ledger of the chain."""
        amount = self._amount(sequence)
        transactions = [
            self._maker.make(kind, sequence, amount + place, plan.version + 2)
            for place, kind in enumerate(plan.kinds)
        ]
        self._fee_pool += sum(transaction.charged for transaction in transactions)
        tx_set, tx_set_hash = self._transaction_set(plan.version, transactions)
        results = vector([transaction.result_pair for transaction in transactions])
        close_time = _EPOCH + sequence * SECONDS_BETWEEN
        header = self._header(sequence, plan, close_time, tx_set_hash, sha256(results).digest())
        self._hash = sha256(header).digest()
        data = b"".join(
            (
                pack(">i", plan.version),
                _meta_ext(plan.version),
                self._hash,
                header,
                VOID,
                tx_set,
                vector([_processing(plan.version, t) for t in transactions]),
                _upgrades(plan),
                vector([]),
                _soroban_state(plan.version, sequence),
            )
        )
        return DemoLedger(
            data,
            sequence,
            plan.version,
            self._hash,
            close_time,
            len(transactions),
            sum(transaction.operation_count for transaction in transactions),
        )

    def _amount(self, sequence: int) -> int:
        """Stroops to move, different in every ledger and seed."""
        noise = sha256(f"amount {self._cast.seed} {sequence}".encode()).digest()
        return 10_000_000 + int.from_bytes(noise[:3], "big")

    def _transaction_set(
        self, version: int, transactions: list[DemoTransaction]
    ) -> tuple[bytes, bytes]:
        """The XDR of the set and its hash; a set is sorted by the hash of its envelopes."""
        classic, soroban = (
            sorted((t.envelope for t in transactions if t.soroban is kind), key=_envelope_hash)
            for kind in (False, True)
        )
        if version == 0:
            envelopes = sorted(classic + soroban, key=_envelope_hash)
            digest = sha256(self._hash + b"".join(envelopes)).digest()
            return self._hash + vector(envelopes), digest
        phases = [_phase(classic), _parallel(soroban) if version == 2 else _phase(soroban)]
        data = pack(">i", 1) + self._hash + vector(phases)
        return data, sha256(data).digest()

    def _header(
        self, sequence: int, plan: _Plan, close_time: int, tx_set_hash: bytes, results: bytes
    ) -> bytes:
        state = sha256(f"bucket list {self._cast.seed} {sequence}".encode()).digest()
        upgrades = [plan.upgrade] if plan.upgrade else []
        return x.LedgerHeader(
            ledger_version=x.Uint32(plan.protocol),
            previous_ledger_hash=x.Hash(self._hash),
            scp_value=x.StellarValue(
                tx_set_hash=x.Hash(tx_set_hash),
                close_time=x.TimePoint(x.Uint64(close_time)),
                upgrades=[x.UpgradeType(upgrade.to_xdr_bytes()) for upgrade in upgrades],
                ext=self._signed(tx_set_hash, close_time),
            ),
            tx_set_result_hash=x.Hash(results),
            bucket_list_hash=x.Hash(state),
            ledger_seq=x.Uint32(sequence),
            total_coins=x.Int64(_TOTAL_COINS),
            fee_pool=x.Int64(self._fee_pool),
            inflation_seq=x.Uint32(0),
            id_pool=x.Uint64(0),
            base_fee=x.Uint32(100),
            base_reserve=x.Uint32(5_000_000),
            max_tx_set_size=x.Uint32(1000),
            skip_list=[x.Hash(bytes(32))] * 4,
            ext=x.LedgerHeaderExt(0),
        ).to_xdr_bytes()

    def _signed(self, tx_set_hash: bytes, close_time: int) -> x.StellarValueExt:
        """The nominating validator's signature over transaction set and close time."""
        value = self._network + pack(">i", _SCP_VALUE) + tx_set_hash + pack(">Q", close_time)
        return x.StellarValueExt(
            x.StellarValueType.STELLAR_VALUE_SIGNED,
            lc_value_signature=x.LedgerCloseValueSignature(
                node_id=x.NodeID(self._validator.xdr_public_key()),
                signature=x.Signature(self._validator.sign(value)),
            ),
        )


def _envelope_hash(envelope: bytes) -> bytes:
    return sha256(envelope).digest()


def _phase(envelopes: list[bytes]) -> bytes:
    """A sequential TransactionPhase with one component, or none when empty."""
    component = pack(">iIq", 0, 1, 100) + vector(envelopes)
    return VOID + vector([component] if envelopes else [])


def _parallel(envelopes: list[bytes]) -> bytes:
    """A parallel TransactionPhase (protocol 23): one stage of one cluster, or none."""
    stages = [vector([vector(envelopes)])] if envelopes else []
    return pack(">iIq", 1, 1, 100) + vector(stages)


def _processing(version: int, transaction: DemoTransaction) -> bytes:
    body = transaction.result_pair + transaction.fee_changes + transaction.meta
    return VOID + body + transaction.post_fee_changes if version == 2 else body


def _upgrades(plan: _Plan) -> bytes:
    """UpgradeEntryMeta of the plan's upgrade, which changes no ledger entry."""
    return vector([plan.upgrade.to_xdr_bytes() + vector([])] if plan.upgrade else [])


def _meta_ext(version: int) -> bytes:
    """LedgerCloseMetaExt: absent in V0, empty in V1, with the write fee in V2."""
    return (b"", VOID, pack(">iiq", 1, 0, 3_500))[version]


def _soroban_state(version: int, sequence: int) -> bytes:
    """Size of live state, evicted keys, and V1's unused vector."""
    size = pack(">Q", 1_000_000 + sequence)
    return (b"", size + vector([]) + vector([]), size + vector([]))[version]
