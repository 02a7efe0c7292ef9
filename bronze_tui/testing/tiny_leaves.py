"""XDR leaves of demo transactions, encoded once by the Stellar SDK with holes to fill.

Imports the Stellar SDK: load it lazily.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from struct import pack

from stellar_sdk import Address, Asset, scval
from stellar_sdk import xdr as x
from stellar_sdk.operation import CreateAccount, InvokeHostFunction, Operation, Payment
from stellar_sdk.transaction import Transaction

from bronze_tui.testing.tiny_molds import (
    AMOUNT,
    COUNTER,
    INNER_HASH,
    MODIFIED,
    NEWCOMER,
    SEQUENCE,
    SUCCESS_HASH,
    VOID,
    Cast,
    Mold,
    vector,
)

BASE_FEE = 100
SOROBAN_FEE = 100_100
"""Stroops taken before an invocation."""
SOROBAN_REFUND = 40_000
"""Stroops given back after it."""


@dataclass(frozen=True)
class Leaves:
    """Events, contract data and Soroban meta as molds."""

    transferred: Mold
    counted: Mold
    counter_entry: Mold
    preimage: Mold
    soroban_v3: Mold
    soroban_v4: Mold
    fee_event: Mold

    def success_hash(self, values: Mapping[str, bytes]) -> bytes:
        """Hash of return value and events, as the invocation's result carries it."""
        return sha256(self.preimage.fill(values)).digest()

    def soroban_tail(self, soroban: bool, version: int, values: Mapping[str, bytes]) -> bytes:
        """What follows the changes in TransactionMeta V3 and V4."""
        if version == 3:
            return pack(">I", 1) + self.soroban_v3.fill(values) if soroban else VOID
        meta = pack(">I", 1) + self.soroban_v4.fill(values) if soroban else VOID
        return meta + vector([self.fee_event.data]) + vector([])


def _event(contract: bytes, topics: list[x.SCVal], data: x.SCVal) -> x.ContractEvent:
    return x.ContractEvent(
        ext=x.ExtensionPoint(0),
        contract_id=x.ContractID(x.Hash(contract)),
        type=x.ContractEventType.CONTRACT,
        body=x.ContractEventBody(0, v0=x.ContractEventV0(topics=topics, data=data)),
    )


def make_leaves(cast: Cast) -> Leaves:
    """Encode the leaves of operation and transaction meta."""
    native = Address(Asset.native().contract_id(cast.network_passphrase)).key
    alice, bob = (cast.accounts[name].keypair.public_key for name in ("alice", "bob"))
    symbol, address = scval.to_symbol, scval.to_address
    transferred = _event(
        native,
        [symbol("transfer"), address(alice), address(bob), scval.to_string("native")],
        scval.to_int128(AMOUNT),
    )
    fee = _event(native, [symbol("fee"), address(alice)], scval.to_int128(BASE_FEE))
    counted = _event(cast.contract, [symbol("counted")], scval.to_uint64(COUNTER))
    answer = scval.to_uint64(COUNTER)
    cost = x.SorobanTransactionMetaExt(
        1,
        v1=x.SorobanTransactionMetaExtV1(
            ext=x.ExtensionPoint(0),
            total_non_refundable_resource_fee_charged=x.Int64(50_000),
            total_refundable_resource_fee_charged=x.Int64(10_000),
            rent_fee_charged=x.Int64(1_000),
        ),
    )
    preimage = x.InvokeHostFunctionSuccessPreImage(return_value=answer, events=[counted])
    v3 = x.SorobanTransactionMeta(
        ext=cost,
        events=[counted],
        return_value=answer,
        diagnostic_events=[x.DiagnosticEvent(True, counted)],
    )
    v4 = x.SorobanTransactionMetaV2(ext=cost, return_value=answer)
    paid = x.TransactionEvent(x.TransactionEventStage.TRANSACTION_EVENT_STAGE_BEFORE_ALL_TXS, fee)
    encoded = [
        part.to_xdr_bytes()
        for part in (transferred, counted, _counter_entry(cast), preimage, v3, v4, paid)
    ]
    return Leaves(*(Mold.of(data) for data in encoded))


def _counter_key(cast: Cast) -> x.LedgerKey:
    return x.LedgerKey(
        x.LedgerEntryType.CONTRACT_DATA,
        contract_data=x.LedgerKeyContractData(
            contract=Address.from_raw_contract(cast.contract).to_xdr_sc_address(),
            key=scval.to_symbol("COUNTER"),
            durability=x.ContractDataDurability.PERSISTENT,
        ),
    )


def _counter_entry(cast: Cast) -> x.LedgerEntry:
    entry = x.ContractDataEntry(
        ext=x.ExtensionPoint(0),
        contract=Address.from_raw_contract(cast.contract).to_xdr_sc_address(),
        key=scval.to_symbol("COUNTER"),
        durability=x.ContractDataDurability.PERSISTENT,
        val=scval.to_uint64(COUNTER),
    )
    return x.LedgerEntry(
        last_modified_ledger_seq=x.Uint32(MODIFIED),
        data=x.LedgerEntryData(x.LedgerEntryType.CONTRACT_DATA, contract_data=entry),
        ext=x.LedgerEntryExt(0),
    )


def _payment_result(code: x.PaymentResultCode) -> x.OperationResult:
    return x.OperationResult(
        x.OperationResultCode.opINNER,
        tr=x.OperationResultTr(x.OperationType.PAYMENT, payment_result=x.PaymentResult(code)),
    )


def _operation_results() -> dict[str, x.OperationResult]:
    inner = x.OperationResultCode.opINNER
    created = x.CreateAccountResult(x.CreateAccountResultCode.CREATE_ACCOUNT_SUCCESS)
    invoked = x.InvokeHostFunctionResult(
        x.InvokeHostFunctionResultCode.INVOKE_HOST_FUNCTION_SUCCESS, success=x.Hash(SUCCESS_HASH)
    )
    creation = x.OperationResultTr(x.OperationType.CREATE_ACCOUNT, create_account_result=created)
    invocation = x.OperationResultTr(
        x.OperationType.INVOKE_HOST_FUNCTION, invoke_host_function_result=invoked
    )
    return {
        "paid": _payment_result(x.PaymentResultCode.PAYMENT_SUCCESS),
        "underfunded": _payment_result(x.PaymentResultCode.PAYMENT_UNDERFUNDED),
        "created": x.OperationResult(inner, tr=creation),
        "invoked": x.OperationResult(inner, tr=invocation),
    }


def plain_result(charged: int, code: x.TransactionResultCode, results: list[str]) -> Mold:
    """A TransactionResult; ``results`` name operation results."""
    known = _operation_results()
    has_results = code in (x.TransactionResultCode.txSUCCESS, x.TransactionResultCode.txFAILED)
    listed = [known[name] for name in results] if has_results else None
    result = x.TransactionResult(
        fee_charged=x.Int64(charged),
        result=x.TransactionResultResult(code, results=listed),
        ext=x.TransactionResultExt(0),
    )
    return Mold.of(result.to_xdr_bytes())


def bumped_result(charged: int, success: bool, results: list[str]) -> Mold:
    """The TransactionResult of a fee bump around operations with these results."""
    codes = x.TransactionResultCode
    known = _operation_results()
    inner = x.InnerTransactionResult(
        fee_charged=x.Int64(0),
        result=x.InnerTransactionResultResult(
            codes.txSUCCESS if success else codes.txFAILED,
            results=[known[name] for name in results],
        ),
        ext=x.InnerTransactionResultExt(0),
    )
    outer = x.TransactionResult(
        fee_charged=x.Int64(charged),
        result=x.TransactionResultResult(
            codes.txFEE_BUMP_INNER_SUCCESS if success else codes.txFEE_BUMP_INNER_FAILED,
            inner_result_pair=x.InnerTransactionResultPair(x.Hash(INNER_HASH), inner),
        ),
        ext=x.TransactionResultExt(0),
    )
    return Mold.of(outer.to_xdr_bytes())


def _invocation(cast: Cast) -> tuple[Operation, x.SorobanTransactionData]:
    contract = Address.from_raw_contract(cast.contract).to_xdr_sc_address()
    function = x.HostFunction(
        x.HostFunctionType.HOST_FUNCTION_TYPE_INVOKE_CONTRACT,
        invoke_contract=x.InvokeContractArgs(
            contract_address=contract,
            function_name=x.SCSymbol(b"increment"),
            args=[scval.to_uint32(1)],
        ),
    )
    data = x.SorobanTransactionData(
        ext=x.SorobanTransactionDataExt(0),
        resources=x.SorobanResources(
            footprint=x.LedgerFootprint(read_only=[], read_write=[_counter_key(cast)]),
            instructions=x.Uint32(2_000_000),
            disk_read_bytes=x.Uint32(0),
            write_bytes=x.Uint32(200),
        ),
        resource_fee=x.Int64(SOROBAN_FEE - BASE_FEE),
    )
    return InvokeHostFunction(function, auth=[]), data


def transaction_body(cast: Cast, source: str, operations: list[str]) -> Mold:
    """A Transaction of ``source``.

    ``operations`` are ``create``, ``invoke`` or the name of the account that is paid.
    """
    amount = Decimal(AMOUNT).scaleb(-7)
    built: list[Operation] = []
    soroban_data = None
    for name in operations:
        if name == "create":
            built.append(CreateAccount(NEWCOMER.public_key, amount))
        elif name == "invoke":
            operation, soroban_data = _invocation(cast)
            built.append(operation)
        else:
            built.append(Payment(cast.accounts[name].keypair.public_key, Asset.native(), amount))
    transaction = Transaction(
        source=cast.accounts[source].keypair,
        sequence=SEQUENCE,
        fee=SOROBAN_FEE if soroban_data else BASE_FEE * len(built),
        operations=built,
        soroban_data=soroban_data,
        v1=True,
    )
    return Mold.of(transaction.to_xdr_object().to_xdr_bytes())
