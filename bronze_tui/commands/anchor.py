"""``bronze anchor``: a signed head in a Stellar transaction: made, submitted, looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import UsageError

_FILE = click.Path(path_type=Path)


@click.command("anchor")
@click.argument("signed_head", metavar="SIGNEDHEAD", type=_FILE)
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
    help="The account's present sequence number (else asked of --rpc).",
)
@click.option(
    "--fee",
    type=click.IntRange(100, 10_000_000),
    default=100,
    show_default=True,
    help="Most stroops that are paid.",
)
@click.option(
    "--rpc",
    metavar="URL",
    default="",
    help="A Stellar RPC server (rpc: that of BRONZE_RPC_URL, whose address may hold a key).",
)
@click.option("--submit", is_flag=True, help="Hand it to the network through --rpc.")
@click.option(
    "--signed",
    metavar="FILE",
    type=_FILE,
    help="With --submit: the envelope (base64), signed elsewhere.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(5, 3600),
    default=90.0,
    show_default=True,
    help="With --submit: how long a ledger may take.",
)
@click.option(
    "--check",
    metavar="FILE",
    type=_FILE,
    help="Instead: check that the envelope in FILE (base64) anchors the head.",
)
@click.option(
    "--transaction",
    metavar="HASH",
    default="",
    help="Instead: check the transaction that --rpc or --ledger has under this hash.",
)
@click.option(
    "--ledger",
    metavar="FILE|SEQ",
    default="",
    help="With --check or --transaction: the object of a lake or the Parquet file of a copy that "
    "must hold it, or a ledger of the configured source.",
)
@click.option(
    "--vkey",
    metavar="VKEY",
    multiple=True,
    help="Whose signature on the head is trusted (or BRONZE_VKEY).",
)
@click.option("--allow-private", is_flag=True, help="The server may be in a private network.")
@config_options
def command(signed_head: Path, account: str, network: str, **options: Any) -> None:
    """Print a transaction (base64 XDR) whose memo is the hash of a signed head, or submit it.

    Nothing is sent without --submit. It is signed when the account's secret is in the variable
    BRONZE_ANCHOR_SECRET, else sign it elsewhere; --submit --signed FILE hands it in. The account
    should serve nothing else: its transactions are the public list of heads.
    """
    from bronze_tui.audit.folder import read_capped
    from bronze_tui.audit.note import MAX_NOTE_BYTES
    from bronze_tui.audit.signedhead import open_head
    from bronze_tui.commands._anchoring import Anchoring
    from bronze_tui.commands._signing import verify_keys
    from bronze_tui.inspect.find import passphrase_of

    _refuse_mixtures(options)
    passphrase = passphrase_of("", "", network)[0] or network
    head = open_head(read_capped(signed_head, MAX_NOTE_BYTES), verify_keys(options["vkey"]))
    anchoring = Anchoring(head, account, passphrase, options["rpc"], options["allow_private"])
    sequence, fee = options["sequence"], options["fee"]
    if options["check"] is not None or options["transaction"]:
        envelope = _envelope(options["check"]) if options["check"] is not None else ""
        place = (options["ledger"], options["config"], options["sets"])
        lines = anchoring.check(envelope, options["transaction"].lower(), *place)
    elif options["submit"]:
        envelope = _envelope(options["signed"]) if options["signed"] is not None else ""
        lines = anchoring.submit(envelope, sequence, fee, options["timeout"])
    else:
        lines = iter([anchoring.build(sequence, fee)])
    for line in lines:
        click.echo(line)


def _refuse_mixtures(options: dict[str, Any]) -> None:
    checking = options["check"] is not None or bool(options["transaction"])
    if options["submit"] and checking:
        raise UsageError("--submit goes neither with --check nor with --transaction")
    if options["signed"] is not None and not options["submit"]:
        raise UsageError("--signed goes with --submit")
    if options["ledger"] and not checking:
        raise UsageError("--ledger goes with --check or --transaction")
    text = options["transaction"].lower()
    if text and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise UsageError("a transaction's hash has 64 hex digits", where="--transaction")


def _envelope(path: Path) -> str:
    from bronze_tui.audit.anchor import MAX_ENVELOPE
    from bronze_tui.audit.folder import read_capped

    return read_capped(path, MAX_ENVELOPE).decode("ascii", "replace")
