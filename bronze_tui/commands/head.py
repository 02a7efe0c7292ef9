"""``bronze head``: sign what an audit chain is now."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("head")
@click.argument("folder", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Private key (default: the variable BRONZE_SIGNING_KEY).",
)
@click.option("--chain", "chain_key", metavar="NETWORK/ERA/VERSION", default="", help="This chain.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the head is kept (default: beside the events).",
)
def command(folder: Path, key_file: Path | None, chain_key: str, out: Path | None) -> None:
    """Sign the head of the audit chain at PATH, keep it beside the events, and print it.

    It names the number of events and the root of their Merkle tree. The chain is verified first,
    and the head that was signed before must be about its first events: else nothing is signed and
    the exit code is 3. 'bronze proof' makes proofs under it.
    """
    from bronze_tui.audit.folder import resolve
    from bronze_tui.commands._signing import (
        chain_of,
        head_file,
        renew_head,
        signing_key,
        write_out,
    )

    key = signing_key(key_file)
    place = resolve(folder)
    report = chain_of(place, chain_key)
    write_out(renew_head(report, key, out or head_file(place, report.chain_key)), None)
