"""``bronze config show`` and ``bronze config schema``."""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.commands._options import config_options


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_options
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, always with origins.")
def show(config: Path | None, sets: tuple[str, ...], origin: bool, as_json: bool) -> None:
    """Print the effective configuration, secrets hidden."""
    from bronze_tui.config import show as view
    from bronze_tui.config.load import load

    loaded = load(config, sets)
    if as_json:
        click.echo(view.as_json(loaded))
        return
    click.echo(view.as_yaml(loaded, origins=origin), nl=False)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


@config.command()
def schema() -> None:
    """Print the JSON schema of the configuration file, for editors."""
    from bronze_tui.config.schema import as_text

    click.echo(as_text(), nl=False)
