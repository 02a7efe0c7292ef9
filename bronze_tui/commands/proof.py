"""``bronze proof``: proofs in text files, for people who do not have the audit folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.domain.audit import AuditEvent


@click.command("proof")
@click.argument("what", metavar="PARTITION|SEQ", required=False, default="")
@click.option(
    "--pas",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    required=True,
    help="The audit folder.",
)
@click.option("--chain", "chain_key", metavar="NETWORK/ERA/VERSION", default="", help="This chain.")
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Sign a new head first, with this private key (or BRONZE_SIGNING_KEY).",
)
@click.option(
    "--signed-head",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The signed head to prove under (default: the one beside the events).",
)
@click.option(
    "--consistency",
    metavar="OLDHEAD",
    type=click.Path(path_type=Path),
    help="Instead: prove that the chain only grew since this signed head.",
)
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Default: standard output."
)
def command(
    what: str,
    folder: Path,
    chain_key: str,
    key_file: Path | None,
    signed_head: Path | None,
    consistency: Path | None,
    out: Path | None,
) -> None:
    """Prove that the event of a partition (START-END, or a ledger in it) is under a signed head.

    The file has the event, the path to the head's root and the signed head: with the signer's
    vkey and the Parquet file it is verified anywhere, offline, by 'bronze verify --proof FILE'.
    """
    from bronze_tui.audit.folder import read_capped, resolve
    from bronze_tui.audit.note import MAX_NOTE_BYTES
    from bronze_tui.audit.proof import prove_consistency, prove_inclusion
    from bronze_tui.commands import _signing as signing

    if bool(what) == (consistency is not None):
        raise UsageError("give a partition or ledger, or --consistency with an old signed head")
    if key_file is not None and signed_head is not None:
        raise UsageError("--key signs a new head, --signed-head names one: give one of them")
    place = resolve(folder)
    report = signing.chain_of(place, chain_key)
    path = signed_head or signing.head_file(place, report.chain_key)
    line = signing.line_of(report)
    index = None if consistency else _find(line, what)
    if key_file is not None or (signed_head is None and signing.KEY_VARIABLE in os.environ):
        head = signing.renew_head(report, signing.signing_key(key_file), path)
    else:
        head = signing.published_head(path)
    if index is not None:
        data = prove_inclusion(line, index, head)
    else:
        assert consistency is not None
        data = prove_consistency(line, read_capped(consistency, MAX_NOTE_BYTES), head)
    signing.write_out(data, out)


def _find(line: list[AuditEvent], what: str) -> int:
    """The place of the event that announces a partition, or a ledger."""
    try:
        wanted = LedgerRange.parse(what) if "-" in what else LedgerRange(int(what), int(what))
    except ValueError:
        raise UsageError(f"{what!a} is neither START-END nor a ledger number") from None
    exact = "-" in what
    for index, event in enumerate(line):
        span = event.partition
        if span == wanted or (not exact and span.start <= wanted.start <= span.end):
            return index
    noun = "partition" if exact else "ledger"
    raise UsageError(f"no event of this chain announces {noun} {what}")
