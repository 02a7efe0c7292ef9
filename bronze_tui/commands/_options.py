"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config_options(command: Command) -> Command:
    """Add ``--config/-c`` and ``--set``: parameters ``config: Path | None``, ``sets: tuple``."""
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one key, such as era.ledger_end=2000; wins over file and environment.",
    )(command)
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file (else CONFIG_FILE, else the environment alone).",
    )(command)
