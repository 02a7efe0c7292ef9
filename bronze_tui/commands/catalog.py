"""``bronze catalog``: status, migrate, rebuild."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.commands._options import config_options

if TYPE_CHECKING:
    from bronze_tui.domain.events import EngineEvent


@click.group()
def catalog() -> None:
    """The database of lineage, audit chain and outbox: SQLite or PostgreSQL."""


@catalog.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(config: Path | None, sets: tuple[str, ...], as_json: bool) -> None:
    """Say where the catalog is, its schema version, and who has each chain; changes nothing."""
    from bronze_tui.commands._context import load_config
    from bronze_tui.engine.catalogs import look

    found = look(load_config(config, sets).settings)
    if as_json:
        click.echo(json.dumps(found.to_doc(), indent=2))
        return
    click.echo(found.to_text())


@catalog.command()
@config_options
@click.option("--dry-run", is_flag=True, help="Print the steps; change nothing.")
def migrate(config: Path | None, sets: tuple[str, ...], dry_run: bool) -> None:
    """Make the tables, or bring them to this version; a run does it by itself.

    Tables of the Go copier are adopted: what they lack is added, their rows stay.
    """
    from bronze_tui.commands._context import load_config
    from bronze_tui.engine.catalogs import migrate as bring_up

    steps = bring_up(load_config(config, sets).settings, dry_run=dry_run)
    for step in steps:
        click.echo(f"{'would take' if dry_run else 'took'} step {step.version}: {step.what}")
    if not steps:
        click.echo("nothing to do: the catalog has this version's schema")


@catalog.command()
@config_options
@click.option("--replace", is_flag=True, help="Remove the rows that the catalog has, if any.")
@click.option(
    "--new-chain",
    is_flag=True,
    help="Begin another audit chain where events are lost for good.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rebuild(
    config: Path | None, sets: tuple[str, ...], replace: bool, new_chain: bool, as_json: bool
) -> None:
    """Make a lost catalog again from commit records and audit events.

    Every committed file is read and compared with its commit record, and the audit chain is
    verified, before a row is written. No partition and no event is changed; event files that lack
    are added. Needs no ledger source. A catalog that has rows of the dataset is left alone unless
    --replace is given.
    """
    from dataclasses import asdict

    from bronze_tui.commands._context import load_config
    from bronze_tui.engine.rebuild import Wishes
    from bronze_tui.engine.rebuild import rebuild as make_again

    settings = load_config(config, sets).settings
    made = make_again(settings, Wishes(replace, new_chain), _tell)
    if as_json:
        click.echo(json.dumps([asdict(chain) for chain in made], indent=2))
        return
    for chain in made:
        click.echo(
            f"{chain.chain_key}: {chain.partitions:,} partitions, {chain.events_kept:,} events"
            f" taken from files, {chain.holes:,} declared holes, head {chain.head or 'none'}"
        )


def _tell(event: EngineEvent) -> None:
    """Alerts on the error stream."""
    from bronze_tui.config.redact import redact
    from bronze_tui.domain.events import Alert
    from bronze_tui.headless.plain import plain

    if isinstance(event, Alert):
        todo = f"; {event.todo}" if event.todo else ""
        click.echo(plain(redact(f"{event.level}: {event.message}{todo}"), 4000), err=True)
