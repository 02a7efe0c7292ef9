"""``bronze attach``: the app on an engine that runs, or on what the last one left."""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import UsageError


@click.command("attach")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@config_options
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's state folder, instead of a configuration.",
)
@click.option("--control", is_flag=True, help="May pause, drain and stop; else read-only.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
def command(
    folder: Path | None,
    config: Path | None,
    sets: tuple[str, ...],
    state_dir: Path | None,
    control: bool,
    no_mouse: bool,
) -> int:
    """Watch a copy from any terminal, also one that has ended; read-only without --control.

    The run is found through the state folder of the same configuration, or --state-dir. FOLDER is
    a finished or foreign dataset, or an audit folder, looked at without any run.
    """
    from dataclasses import replace

    from bronze_tui.commands._context import load_config
    from bronze_tui.commands.run import config_arguments
    from bronze_tui.tui import launch

    if folder is not None:
        if config is not None or sets or state_dir is not None or control:
            raise UsageError("FOLDER stands alone", todo="leave --config, --state-dir, --control")
        seen = launch.session_of_folder(folder)
        launch.need_terminal("'bronze verify' and 'bronze sql' need none")
        return launch.open_app(replace(seen, mouse=not no_mouse)).code
    if state_dir is not None:
        session = launch.session_of_state(state_dir, control=control)
    else:
        loaded = load_config(config, sets)
        words = config_arguments(loaded.path, sets)
        session = launch.session_of_run(loaded, control=control, arguments=words)
    if session.journal is None or not session.journal.exists():
        raise UsageError(
            "no run has left a journal",
            where=str(session.state_dir),
            todo="start one with 'bronze run', or name the right configuration or state folder",
        )
    launch.need_terminal("'bronze status' and 'bronze ctl status' need none")
    return launch.open_app(replace(session, mouse=not no_mouse)).code
