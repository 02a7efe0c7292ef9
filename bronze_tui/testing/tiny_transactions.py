"""Signed demo transactions with their results and meta, as XDR bytes, for tiny lakes.

XDR values are joined by concatenation here, which keeps thousands of ledgers a matter of
seconds. Imports the Stellar SDK: load it lazily.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from struct import pack

from stellar_sdk import Network
from stellar_sdk.xdr import TransactionResultCode

from bronze_tui.testing.tiny_leaves import (
    BASE_FEE,
    SOROBAN_FEE,
    SOROBAN_REFUND,
    bumped_result,
    make_leaves,
    plain_result,
    transaction_body,
)
from bronze_tui.testing.tiny_molds import (
    CREATED,
    STATE,
    UPDATED,
    VOID,
    Cast,
    DemoAccount,
    Mold,
    vector,
)


@dataclass(frozen=True)
class Step:
    """One change of an account: ``amount`` times the transaction's amount plus ``fixed``."""

    account: str
    amount: int = 0
    fixed: int = 0
    sequence: int = 0


@dataclass(frozen=True)
class Kind:
    """A sort of demo transaction: what is sent, what it gives, what it changes."""

    transaction: Mold
    result: Mold
    source: str
    operation_count: int
    """Operation results, inside a fee bump too."""
    charged: int
    """Stroops that the result says were charged."""
    operations: tuple[tuple[Step, ...], ...] = ()
    sponsor: str = ""
    """Account that pays a fee bump."""
    soroban: bool = False
    creates: bool = False


@dataclass(frozen=True)
class DemoTransaction:
    """One transaction's parts, ready to be put into a ledger."""

    envelope: bytes
    result_pair: bytes
    fee_changes: bytes
    meta: bytes
    post_fee_changes: bytes
    soroban: bool
    operation_count: int
    charged: int


class TransactionMaker:
    """Makes demo transactions of every kind and keeps the accounts' state.

    Args:
        cast: accounts and network; changed by every transaction made.
    """

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._network = Network(cast.network_passphrase).network_id()
        self._kinds = make_kinds(cast)
        self._leaves = make_leaves(cast)

    def make(self, name: str, ledger: int, amount: int, meta_version: int) -> DemoTransaction:
        """One transaction of kind ``name`` in ``ledger``, with meta version 2, 3 or 4."""
        kind = self._kinds[name]
        source = self._cast.accounts[kind.source]
        values = {
            "amount": pack(">q", amount),
            "sequence": pack(">q", source.sequence + 1),
            "newcomer": self._cast.keypair(f"newcomer {ledger}").raw_public_key(),
            "counter": pack(">Q", self._cast.counter + 1),
            "modified": pack(">I", ledger),
        }
        envelope, values["hash"] = self._sign(kind, values)
        values["success_hash"] = self._leaves.success_hash(values)
        result_pair = values["hash"] + kind.result.fill(values)
        paid = SOROBAN_FEE if kind.soroban else kind.charged
        fee_changes = self._apply(Step(kind.sponsor or kind.source, fixed=-paid), ledger, 0)
        meta, post = self._meta(kind, values, ledger, amount, meta_version)
        return DemoTransaction(
            envelope,
            result_pair,
            vector(fee_changes),
            meta,
            post,
            kind.soroban,
            kind.operation_count,
            kind.charged,
        )

    def _sign(self, kind: Kind, values: dict[str, bytes]) -> tuple[bytes, bytes]:
        """The signed envelope and its transaction hash; fills ``inner_hash`` of a fee bump."""
        body = kind.transaction.fill(values)
        envelope, digest = self._seal(2, body, kind.source)
        if not kind.sponsor:
            return envelope, digest
        values["inner_hash"] = digest
        sponsor = self._cast.accounts[kind.sponsor].keypair
        bump = VOID + sponsor.raw_public_key() + pack(">q", kind.charged) + envelope + VOID
        return self._seal(5, bump, kind.sponsor)

    def _seal(self, envelope_type: int, body: bytes, signer: str) -> tuple[bytes, bytes]:
        keypair = self._cast.accounts[signer].keypair
        tagged = pack(">i", envelope_type) + body
        digest = sha256(self._network + tagged).digest()
        signature = keypair.signature_hint() + pack(">I", 64) + keypair.sign(digest)
        return tagged + vector([signature]), digest

    def _apply(self, step: Step, ledger: int, amount: int) -> list[bytes]:
        account = self._cast.accounts[step.account]
        before = account.entry(STATE)
        account.balance += step.amount * amount + step.fixed
        account.sequence += step.sequence
        account.modified = ledger
        return [before, account.entry(UPDATED)]

    def _meta(
        self, kind: Kind, values: dict[str, bytes], ledger: int, amount: int, version: int
    ) -> tuple[bytes, bytes]:
        """TransactionMeta, and the fee changes after it that V4 moves into the ledger's meta."""
        before = self._apply(Step(kind.source, sequence=1), ledger, 0)
        operations = [
            self._operation(kind, steps, values, ledger, amount, version)
            for steps in kind.operations
        ]
        refund: list[bytes] = []
        if kind.soroban:
            refund = self._apply(Step(kind.source, fixed=SOROBAN_REFUND), ledger, 0)
        after, post = (vector([]), vector(refund)) if version == 4 else (vector(refund), b"")
        body = vector(before) + vector(operations) + after
        if version == 2:
            return pack(">i", 2) + body, post
        head = pack(">ii", version, 0)
        return head + body + self._leaves.soroban_tail(kind.soroban, version, values), post

    def _operation(
        self,
        kind: Kind,
        steps: tuple[Step, ...],
        values: dict[str, bytes],
        ledger: int,
        amount: int,
        version: int,
    ) -> bytes:
        changes = [change for step in steps for change in self._apply(step, ledger, amount)]
        events: list[bytes] = []
        if kind.creates:
            newcomer = DemoAccount(self._cast.keypair(f"newcomer {ledger}"), amount, ledger << 32)
            newcomer.modified = ledger
            changes.append(newcomer.entry(CREATED))
        if kind.soroban:
            changes += self._count(values, ledger)
            events = [self._leaves.counted.fill(values)]
        elif version == 4:
            events = [self._leaves.transferred.fill(values)]
        if version == 4:
            return VOID + vector(changes) + vector(events)
        return vector(changes)

    def _count(self, values: dict[str, bytes], ledger: int) -> list[bytes]:
        cast, leaf = self._cast, self._leaves.counter_entry
        old = {
            "counter": pack(">Q", cast.counter),
            "modified": pack(">I", cast.counter_modified),
        }
        cast.counter += 1
        cast.counter_modified = ledger
        return [pack(">i", STATE) + leaf.fill(old), pack(">i", UPDATED) + leaf.fill(values)]


@dataclass(frozen=True)
class _Recipe:
    """A kind in short; ``results`` name operation results, None a transaction without any."""

    source: str
    operations: tuple[str, ...]
    charged: int
    results: tuple[str, ...] | None
    sponsor: str = ""
    fails: bool = False

    def body(self, cast: Cast) -> Mold:
        return transaction_body(cast, self.source, list(self.operations))

    def result(self) -> Mold:
        codes = TransactionResultCode
        results = list(self.results or ())
        if self.sponsor:
            return bumped_result(self.charged, not self.fails, results)
        code = codes.txFAILED if self.fails else codes.txSUCCESS
        return plain_result(
            self.charged, codes.txINSUFFICIENT_BALANCE if self.results is None else code, results
        )

    def steps(self, operation: str) -> tuple[Step, ...]:
        """What an operation that works changes in the accounts."""
        if operation == "invoke":
            return ()
        paid = Step(self.source, amount=-1)
        return (paid,) if operation == "create" else (paid, Step(operation, amount=1))


_RECIPES = {
    "payment": _Recipe("alice", ("bob",), BASE_FEE, ("paid",)),
    "payments": _Recipe("carol", ("bob", "alice", "bob"), 3 * BASE_FEE, ("paid",) * 3),
    "create": _Recipe("alice", ("create",), BASE_FEE, ("created",)),
    "bumped": _Recipe("bob", ("carol", "alice"), 6 * BASE_FEE, ("paid",) * 2, sponsor="sponsor"),
    "bumped_failed": _Recipe(
        "bob", ("carol",), 4 * BASE_FEE, ("underfunded",), sponsor="sponsor", fails=True
    ),
    "failed": _Recipe("carol", ("bob", "alice"), 2 * BASE_FEE, ("paid", "underfunded"), fails=True),
    "rejected": _Recipe("carol", ("bob",), BASE_FEE, None, fails=True),
    "invoke": _Recipe("alice", ("invoke",), SOROBAN_FEE - SOROBAN_REFUND, ("invoked",)),
}


def make_kinds(cast: Cast) -> dict[str, Kind]:
    """Every kind of demo transaction by name; what failed changes nothing but the fee."""
    return {
        name: Kind(
            transaction=recipe.body(cast),
            result=recipe.result(),
            source=recipe.source,
            operation_count=len(recipe.results or ()),
            charged=recipe.charged,
            operations=()
            if recipe.fails
            else tuple(recipe.steps(operation) for operation in recipe.operations),
            sponsor=recipe.sponsor,
            soroban="invoke" in recipe.operations,
            creates="create" in recipe.operations,
        )
        for name, recipe in _RECIPES.items()
    }
