"""``bronze validate``: everything that is wrong with a configuration, at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._options import config_options

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.config.sections import PasSettings


@click.command("validate")
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, sets: tuple[str, ...], as_json: bool) -> None:
    """Check the configuration without touching source, store or catalog."""
    from bronze_tui.config.load import load
    from bronze_tui.domain.errors import ConfigError

    try:
        loaded = load(config, sets)
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": error.problems}, indent=2))
        raise
    summary = _summary(loaded)
    if as_json:
        warnings = list(loaded.warnings)
        click.echo(json.dumps({"valid": True, **summary, "warnings": warnings}, indent=2))
        return
    click.echo("configuration is valid")
    for era in summary["eras"]:
        click.echo(f"era      {_era_line(era)}")
    for name in ("source", "store", "catalog", "audit"):
        click.echo(f"{name:<8} {summary[name]}")
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def _summary(loaded: Loaded) -> dict[str, Any]:
    from bronze_tui.config.redact import redact, redact_dsn
    from bronze_tui.config.resolve import partition_count

    settings = loaded.settings
    source, store = settings.source_options(), settings.store_options()
    dsn = settings.catalog.postgres_dsn.get_secret_value()
    where = redact(source.url) or "by its own settings"
    target = redact(store.url) or "by its own settings"
    return {
        "config_file": str(loaded.path) if loaded.path else None,
        "eras": [
            {
                "chain_key": era.chain_key,
                "ledger_start": era.ledger_start,
                "ledger_end": era.ledger_end,
                "partition_size": era.partition_size,
                "partitions": partition_count(era),
            }
            for era in settings.active()
        ],
        "source": f"{source.mode}, {where}",
        "store": f"{store.backend}, {target}, prefix {settings.storage.prefix or 'none'}",
        "catalog": redact_dsn(dsn) or str(settings.catalog_path()),
        "audit": _audit(settings.pas),
    }


def _audit(pas: PasSettings) -> str:
    from bronze_tui.domain.endpoint import parse_endpoint

    if not pas.enabled:
        return "off"
    posted = f", posted to {parse_endpoint(pas.endpoint).shown}" if pas.endpoint else ""
    return pas.backup_dir + posted


def _era_line(era: dict[str, Any]) -> str:
    size = f"partitions of {era['partition_size']:,}"
    if era["ledger_end"] is None:
        return f"{era['chain_key']}: from ledger {era['ledger_start']} without end, {size}"
    span = f"ledgers {era['ledger_start']} to {era['ledger_end']}"
    return f"{era['chain_key']}: {span}, {era['partitions']:,} {size}"
