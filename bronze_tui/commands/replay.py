"""``bronze replay``: the app on a recorded run, at its own pace or another."""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.domain.errors import UsageError


@click.command("replay")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(0, 100_000),
    default=1.0,
    show_default=True,
    help="Times as fast as it was; 0 shows the end at once.",
)
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
def command(journal: Path, speed: float, no_mouse: bool) -> int:
    """Show the newest run of JOURNAL (a bronze.jsonl, or the state folder that holds one).

    Time is the recording's: verdicts and rates are those the operator saw. Where the run's data and
    audit events are on this machine, the Ledger, SQL and Audit pages show them as they are today.
    """
    from dataclasses import replace

    from bronze_tui.journal.writer import JOURNAL_NAME
    from bronze_tui.tui import launch

    path = journal / JOURNAL_NAME if journal.is_dir() else journal
    if not path.is_file():
        raise UsageError(
            "there is no journal", where=str(path), todo="name a bronze.jsonl or its folder"
        )
    launch.need_terminal("'bronze run --json' gives the same records to programs")
    session = launch.session_of_journal(path, speed)
    return launch.open_app(replace(session, mouse=not no_mouse)).code
