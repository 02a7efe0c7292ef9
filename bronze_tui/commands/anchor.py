"""``bronze anchor``: a signed head in a Stellar transaction, offline."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from bronze_tui.domain.errors import UsageError

SECRET_VARIABLE = "BRONZE_ANCHOR_SECRET"  # noqa: S105


@click.command("anchor")
@click.argument("signed_head", metavar="SIGNEDHEAD", type=click.Path(path_type=Path))
@click.option("--account", required=True, metavar="G...", help="The account that anchors.")
@click.option(
    "--network",
    required=True,
    metavar="NAME",
    help="pubnet, testnet, or the passphrase of another network.",
)
@click.option(
    "--sequence",
    type=click.IntRange(0, 2**63 - 2),
    help="The account's present sequence number.",
)
@click.option(
    "--fee",
    type=click.IntRange(100, 10_000_000),
    default=100,
    show_default=True,
    help="Most stroops that are paid.",
)
@click.option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Instead: check that the envelope in FILE (base64) anchors the head.",
)
@click.option(
    "--ledger",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --check: an object of a lake that must hold the transaction.",
)
@click.option(
    "--vkey",
    metavar="VKEY",
    multiple=True,
    help="Whose signature on the head is trusted (or BRONZE_VKEY).",
)
def command(
    signed_head: Path,
    account: str,
    network: str,
    sequence: int | None,
    fee: int,
    check: Path | None,
    ledger: Path | None,
    vkey: tuple[str, ...],
) -> None:
    """Print a transaction (base64 XDR) whose memo is the hash of a signed head.

    Nothing is sent. It is signed when the account's secret is in the variable
    BRONZE_ANCHOR_SECRET, else sign it elsewhere; any tool submits it. The account should serve
    nothing else: its transactions are the public list of heads.
    """
    from bronze_tui.audit.anchor import MAX_ENVELOPE, build_anchor, check_anchor
    from bronze_tui.audit.folder import read_capped
    from bronze_tui.audit.note import MAX_NOTE_BYTES
    from bronze_tui.audit.signedhead import open_head
    from bronze_tui.commands._signing import verify_keys
    from bronze_tui.inspect.find import passphrase_of

    passphrase = passphrase_of("", "", network)[0] or network
    head = open_head(read_capped(signed_head, MAX_NOTE_BYTES), verify_keys(vkey))
    if check is not None:
        envelope = read_capped(check, MAX_ENVELOPE).decode("ascii", "replace")
        found = check_anchor(envelope, head, account, passphrase)
        click.echo(f"OK  transaction {found.transaction} anchors {head}")
        if ledger is None:
            click.echo("Whether the network took it: give --ledger, or look it up by its hash.")
        else:
            click.echo(_taken(found.transaction, ledger))
        return
    if ledger is not None:
        raise UsageError("--ledger goes with --check")
    if sequence is None:
        raise UsageError("the account's present sequence number is needed", todo="give --sequence")
    secret = os.environ.get(SECRET_VARIABLE, "")
    click.echo(build_anchor(head, account, sequence, passphrase, fee=fee, secret=secret))


def _taken(transaction: str, path: Path) -> str:
    """Where in an object of a lake the transaction succeeded.

    Raises:
        ProofRejected: it is not there, or failed.
    """
    from bronze_tui.audit.tree import ProofRejected
    from bronze_tui.commands.ledger import decoded_ledgers
    from bronze_tui.inspect import tree
    from bronze_tui.inspect.find import result_path

    for facts, value in decoded_ledgers(path):
        top = tree.root(value)
        found = result_path(top, bytes.fromhex(transaction))
        if found is None:
            continue
        code = tree.at(top, found[0]).value.result.result.result.code.name
        if code.lower() not in ("txsuccess", "txfee_bump_inner_success"):
            raise ProofRejected(f"transaction {transaction} failed ({code})", where=str(path))
        closed = datetime.fromtimestamp(facts.close_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"In ledger {facts.sequence}, closed {closed}, ledger hash {facts.ledger_hash.hex()}; "
            "that this ledger is the network's is another proof."
        )
    raise ProofRejected(f"transaction {transaction} is in no ledger of it", where=str(path))
