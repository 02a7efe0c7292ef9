"""``bronze key``: keys that sign heads of audit chains."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bronze_tui.domain.errors import UsageError


@click.group()
def key() -> None:
    """Keys that sign heads of audit chains (Ed25519, C2SP signed notes)."""


@key.command()
@click.argument("name")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("signing.key"),
    show_default=True,
    help="Where the private key goes; the file must not exist. Mode 0600.",
)
def new(name: str, out: Path) -> None:
    """Make a key called NAME, such as example.com/bronze, and print its vkey.

    The vkey is public: give it to whoever shall verify. Keep the file secret and a copy of it
    safe; never use it for anything else, an account with funds least of all.
    """
    from bronze_tui.audit.note import new_key

    made = new_key(name)
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError("the file is here already", where=str(out), todo="name another") from None
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        os.fchmod(fd, 0o600)
        file.write(made.secret_text() + "\n")
        file.flush()
        os.fsync(fd)
    click.echo(str(made.verify_key))


@key.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path), required=False)
def show(file: Path | None) -> None:
    """Print the vkey of the private key in FILE (default: BRONZE_SIGNING_KEY)."""
    from bronze_tui.commands._signing import signing_key

    click.echo(str(signing_key(file).verify_key))
