"""``bronze status``: coverage, gaps, heads and checkpoint age, from the state on disk alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.commands._options import config_options

if TYPE_CHECKING:
    from bronze_tui.engine.survey import ChainSurvey, Survey


@click.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, sets: tuple[str, ...], as_json: bool) -> None:
    """Say what is committed; needs no source, no store and no running engine."""
    from bronze_tui.commands._context import load_config
    from bronze_tui.engine.survey import survey

    found = survey(load_config(config, sets).settings)
    if as_json:
        click.echo(json.dumps(found.to_doc(), indent=2))
        return
    click.echo(_text(found))


def _text(found: Survey) -> str:
    lines = [f"{'state':<13} {found.state_dir}", f"{'engine':<13} {found.engine}"]
    for chain in found.chains:
        lines += _chain_lines(chain)
    return "\n".join(lines)


def _chain_lines(chain: ChainSurvey) -> list[str]:
    from bronze_tui.headless.plain import plain

    rows = [
        ("chain", chain.chain_key),
        ("  covered", ", ".join(chain.covered) or "nothing yet"),
        ("  gaps", ", ".join(chain.gaps) or "none"),
        ("  holes", ", ".join(chain.holes) or "none declared"),
        ("  ledgers", f"{chain.ledgers:,} in {chain.partitions:,} partitions"),
        ("  last", str(chain.last_ledger or "none")),
        ("  head", f"{chain.head or 'none'} ({chain.events:,} events, {chain.unfiled} not filed)"),
        *((f"  {name}", plain(value)) for name, value in chain.proof),
        ("  delivered", plain(chain.delivery)),
        ("  checkpoint", chain.checkpoint),
    ]
    return [f"{name:<13} {text}" for name, text in rows if text]
