"""``bronze engine``: the engine alone, as the app starts it; not for people.

It prints nothing but what the journal cannot say; everything else is in the journal.
"""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.commands._options import config_options
from bronze_tui.commands.run import engine_options


@click.command("engine", hidden=True)
@config_options
@engine_options
def command(
    config: Path | None,
    sets: tuple[str, ...],
    workers: int | None,
    follow: bool | None,
    flush_partial: bool,
    repair: bool,
    no_plugins: bool,
    disable_plugin: tuple[str, ...],
    strict_plugins: bool,
) -> int:
    """Run the engine without any display; SIGTERM drains, as in 'bronze run --no-tui'."""
    from bronze_tui.commands._context import load_config
    from bronze_tui.commands.run import run_engine
    from bronze_tui.engine.main import PluginSwitches
    from bronze_tui.engine.opening import RunFlags

    if workers is not None:
        sets = (*sets, f"perf.workers={workers}")
    return run_engine(
        load_config(config, sets),
        RunFlags(follow=follow, flush_partial=flush_partial, repair=repair),
        PluginSwitches(not no_plugins, disable_plugin, strict_plugins),
    )
