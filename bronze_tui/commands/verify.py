"""``bronze verify``: check an audit folder without trusting whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.audit.folder import declared_holes, resolve, verify_folder
from bronze_tui.audit.heads import parse_pin
from bronze_tui.audit.report import to_json, to_text, verdict_line
from bronze_tui.domain.errors import Exit, UsageError
from bronze_tui.domain.ledger import LedgerRange

LEVELS = ("chain", "0")
LATER_LEVELS = ("manifest", "file", "row", "ledger", "source")


@click.command("verify")
@click.argument("target", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--level", default="chain", show_default=True, metavar="LEVEL", help="How deep: chain (or 0)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--head",
    metavar="HASH",
    default="",
    help="An event hash you kept: it must stand in the chain. Shows a tail that was cut off.",
)
@click.option("--chain", "chain_key", metavar="NETWORK/ERA/VERSION", default="", help="Only this.")
@click.option(
    "--holes",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A dataset's _holes folder: events that fill a declared hole late are in order.",
)
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
def command(
    target: Path,
    level: str,
    as_json: bool,
    head: str,
    chain_key: str,
    holes: tuple[Path, ...],
    quiet: bool,
) -> None:
    """Verify the audit events at PATH: hashes, links, order and ledger ranges.

    PATH is a PAS folder, or a folder that holds one (pas-backup). Exit code 0: the chain is
    whole; 3: it is not; 2: PATH or an option is wrong; 7: something cannot be read.
    """
    _check_level(level)
    declared: dict[str, list[LedgerRange]] = {}
    for folder in holes:
        declared.update(declared_holes(folder))
    pin = parse_pin(head) if head else ""
    report = verify_folder(resolve(target), chain_key=chain_key, pin=pin, holes=declared)
    if as_json:
        click.echo(to_json(report))
    else:
        click.echo(verdict_line(report) if quiet else to_text(report))
    if not report.ok:
        raise SystemExit(int(Exit.VERIFICATION))


def _check_level(level: str) -> None:
    if level in LEVELS:
        return
    if level in LATER_LEVELS:
        raise UsageError(
            f"level {level} is not in this version", where="--level", todo="use --level chain"
        )
    raise UsageError(f"unknown level {level!r}", where="--level", todo="use --level chain")
