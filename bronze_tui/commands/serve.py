"""``bronze serve``: the attach view in a browser, read-only; loopback unless a token guards it."""

from __future__ import annotations

from pathlib import Path

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import UsageError


@click.command("serve")
@config_options
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's state folder, instead of a configuration.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True)
@click.option(
    "--token",
    default="",
    envvar="BRONZE_SERVE_TOKEN",
    help="What a browser must know; made up for any host but this machine's own.",
)
@click.option("--max-sessions", type=click.IntRange(1, 64), default=4, show_default=True)
def command(
    config: Path | None,
    sets: tuple[str, ...],
    state_dir: Path | None,
    host: str,
    port: int,
    token: str,
    max_sessions: int,
) -> int:
    """Show a run in a browser, read-only, while it works or after it.

    It listens on this machine alone; from elsewhere use an SSH tunnel, or --host with a token.
    There is no TLS: whoever reads the network reads the screen and the token.
    """
    from bronze_tui.commands._context import load_config

    try:
        from bronze_tui.tui.web import Options, serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed", todo="pip install 'bronze-tui[web]'"
        ) from error
    folder = state_dir if state_dir is not None else load_config(config, sets).settings.state_dir()
    return serve(folder.absolute(), Options(host, port, token, max_sessions))
