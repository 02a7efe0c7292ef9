"""``bronze ctl``: ask a running engine for its state, or tell it what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bronze_tui.commands._options import config_options
from bronze_tui.journal.wire import COMMANDS, MAX_WORKERS, partition_text

_COUNT = click.IntRange(1, MAX_WORKERS)
_SAID = {
    "pause": "pausing: builders wait at their next ledger, what is built is still committed",
    "resume": "resumed",
    "drain": "draining: what is under way is committed, then the run ends",
    "stop": "stopping: builds under way are given up, nothing is half committed",
}


@click.command("ctl")
@click.argument("action", type=click.Choice(COMMANDS))
@click.argument("value", metavar="[COUNT|START-END]", required=False)
@config_options
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's state folder, instead of a configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the engine's answer as JSON.")
def command(
    action: str,
    value: str | None,
    config: Path | None,
    sets: tuple[str, ...],
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Control a running copy: status, pause, resume, drain, stop, workers N, or retry S-E.

    'retry' tries a partition that waits after a failed attempt at once, named by its ledgers as
    in '18-33'.

    The engine is found through the state folder of the same configuration, or --state-dir.
    """
    from bronze_tui.journal.wire import call

    args = _arguments(action, value)
    folder = state_dir if state_dir is not None else _state_dir(config, sets)
    answer = call(folder, action, **args)
    if as_json:
        click.echo(json.dumps(answer, indent=2, default=str))
        return
    if action in _SAID:
        click.echo(_SAID[action])
    elif action == "workers":
        click.echo(f"workers: {value}")
    elif action == "retry":
        click.echo(f"retry: {value} is tried now")
    for line in lines(answer):
        click.echo(line)


def _arguments(action: str, value: str | None) -> dict[str, Any]:
    if action == "workers":
        if value is None:
            raise click.UsageError(f"'workers' takes a number from 1 to {MAX_WORKERS}")
        return {"count": _COUNT(value)}
    if action == "retry":
        if value is None:
            raise click.UsageError("'retry' takes a partition, START-END")
        return {"partition": partition_text(value)}
    if value is not None:
        raise click.UsageError("'workers' and 'retry' take a value, the other actions take none")
    return {}


def lines(answer: dict[str, Any]) -> list[str]:
    """``name  value`` lines, names aligned; nested values as compact JSON, absent ones left out."""
    from bronze_tui.headless.plain import plain

    shown = {plain(str(k)): _text(v) for k, v in answer.items() if v is not None}
    width = max(map(len, shown), default=0)
    return [f"{name:<{width}}  {plain(text)}" for name, text in shown.items()]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:,.1f}"
    return json.dumps(value, default=str)


def _state_dir(config: Path | None, sets: tuple[str, ...]) -> Path:
    from bronze_tui.config.load import load

    return Path(load(config, sets).settings.state_dir())
