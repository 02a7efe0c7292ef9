"""``bronze sql``: the read-only console for scripts; data on stdout and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from bronze_tui.query.client import QueryProcess
    from bronze_tui.query.export import Format
    from bronze_tui.query.result import Result

_TABLE_ROWS = 10_000
_FORMATS = ("table", "csv", "json", "parquet")


@click.command("sql")
@click.argument("query", metavar="QUERY")
@config_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder with committed partitions, instead of a configuration.",
)
@click.option(
    "--pas", type=click.Path(path_type=Path), metavar="DIR", help="PAS folder for audit_events."
)
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: table.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="Most rows, 0 for all. Default: 10000 for a table, else all.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Not stdout.")
@click.option("--timeout", type=click.FloatRange(0.1), default=600.0, show_default=True)
def command(
    query: str,
    config: Path | None,
    sets: tuple[str, ...],
    data: Path | None,
    pas: Path | None,
    form: Format | None,
    limit: int | None,
    output: Path | None,
    timeout: float,
) -> int:
    """Run one read-only query over the committed partitions ('-' reads it from stdin).

    Tables: ledgers_lcm_raw, commits, manifests, coverage, audit_events; try 'show tables' and
    'describe ledgers_lcm_raw'. DuckDB runs in a process that can write nothing and reach nothing.
    """
    from bronze_tui.query.client import Limits, QueryProcess

    root, prefix, events = _places(config, sets, data, pas)
    form = form or _form(output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is no text for a terminal", todo="use --output FILE or a pipe")
    text = sys.stdin.read() if query == "-" else query
    rows = limit if limit is not None else _TABLE_ROWS if form == "table" else 0
    with QueryProcess(root, prefix, events, Limits(seconds=timeout)) as process:
        return _answer(process, text, rows, form, output, [root / prefix, *_some(events)])


def _answer(
    process: QueryProcess,
    text: str,
    rows: int,
    form: Format,
    output: Path | None,
    data: list[Path],
) -> int:
    from bronze_tui.query.errors import QueryCancelled
    from bronze_tui.query.export import new_file, write

    try:
        result = process.run(text, rows, short=form == "table")
        if output is None:
            _write(result, form, sys.stdout.buffer)
        else:
            with new_file(output, outside=data) as stream:
                write(result, form, stream)
    except (KeyboardInterrupt, QueryCancelled):
        return Exit.SIGINT
    _remark(result, rows)
    return Exit.OK


def _write(result: Result, form: Format, stream: IO[bytes]) -> None:
    from bronze_tui.query.export import write

    write(result, form, stream)
    stream.flush()


def _remark(result: Result, rows: int) -> None:
    """What stdout does not tell: rows left out, files that could not be read."""
    from bronze_tui.headless.plain import plain

    if result.truncated:
        click.echo(f"bronze: {rows:,} of more rows; --limit 0 gives all", err=True)
    for note in result.notes:
        click.echo(f"bronze: note: {plain(note)}", err=True)


def _places(
    config: Path | None, sets: tuple[str, ...], data: Path | None, pas: Path | None
) -> tuple[Path, str, Path | None]:
    """Root folder, key prefix and PAS folder of what is asked about.

    Raises:
        ConfigError; UsageError: there is no such folder, or the store is not on this machine.
    """
    if data is not None:
        if config is not None or sets:
            raise UsageError("--data and a configuration are two answers to one question")
        if not data.is_dir():
            raise UsageError("no such folder", where=str(data))
        return data, "", pas if pas is not None else _beside(data)
    from urllib.parse import unquote, urlsplit

    from bronze_tui.commands._context import load_config

    settings = load_config(config, sets).settings
    url = urlsplit(settings.store_options().url)
    if url.scheme != "file":
        raise UsageError(
            "the console reads local stores only",
            where=settings.storage.backend,
            todo="mount or copy the dataset and use --data DIR",
        )
    own = Path(settings.pas.backup_dir) if settings.pas.enabled else None
    return Path(unquote(url.path)), settings.storage.prefix, pas if pas is not None else own


def _beside(data: Path) -> Path | None:
    """``pas-backup`` in the folder or next to it."""
    for folder in (data / "pas-backup", data.resolve().parent / "pas-backup"):
        if folder.is_dir():
            return folder
    return None


def _form(output: Path | None) -> Format:
    from bronze_tui.query.export import form_of

    return form_of(output) if output is not None and output.suffix else "table"


def _some(path: Path | None) -> list[Path]:
    return [path] if path is not None else []
