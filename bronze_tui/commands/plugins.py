"""``bronze plugins``: what is installed, what loaded, what it offers and how it failed.

``--names`` imports no plugin; the rest loads built-in plugins and the third-party ones allowed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bronze_tui.hooks.records import PluginRecord


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
@click.option("--names", is_flag=True, help="Print names only; imports no plugin.")
@click.option("--hook", metavar="NAME", help="Only plugins that implement this hook.")
@click.option("--allow", metavar="NAME", multiple=True, help="Load this third-party plugin.")
@click.option("--no-plugins", is_flag=True, help="Load no third-party plugin.")
@click.option("--disable-plugin", metavar="NAME", multiple=True, help="Do not load this plugin.")
@click.option("--strict-plugins", is_flag=True, help="Exit 4 when a plugin failed.")
def command(
    as_json: bool,
    names: bool,
    hook: str | None,
    allow: tuple[str, ...],
    no_plugins: bool,
    disable_plugin: tuple[str, ...],
    strict_plugins: bool,
) -> None:
    """List plugins and what they offer.

    Third-party plugins are loaded only when the configuration names them; here they are listed
    as they are installed, unless --allow loads one.
    """
    from bronze_tui.hooks.discovery import list_plugins
    from bronze_tui.hooks.manager import load_plugins

    if names:
        for record in list_plugins(disable=disable_plugin, third_party=not no_plugins):
            click.echo(_safe(record.name))
        return
    host = load_plugins(allow=allow, disable=disable_plugin, third_party=not no_plugins)
    records = list(host.records)
    if hook is not None:
        _check_hook(hook)
        records = [r for r in records if hook in r.hooks]
    if as_json:
        click.echo(json.dumps([r.to_json() for r in records], indent=2))
    else:
        for line in _table(records):
            click.echo(line)
    _check_health(list(host.records), allow, strict_plugins)


def _check_hook(name: str) -> None:
    from bronze_tui.domain.errors import UsageError
    from bronze_tui.hooks import specs
    from bronze_tui.hooks.registry import suggestion

    known = sorted(n for n in vars(specs) if n.startswith("bronze_"))
    if name not in known:
        raise UsageError(f"unknown hook {name!r}", todo=suggestion(name, known))


def _check_health(records: list[PluginRecord], allow: tuple[str, ...], strict: bool) -> None:
    from bronze_tui.domain.errors import PluginError, UsageError
    from bronze_tui.hooks.registry import suggestion

    installed = sorted(r.name for r in records)
    for name in allow:
        if name not in installed:
            raise UsageError(f"unknown plugin {name!r}", todo=suggestion(name, installed))
    failed = [r for r in records if r.status == "failed"]
    if strict and failed:
        listed = ", ".join(f"{r.name} at {r.stage}" for r in failed)
        raise PluginError(f"{len(failed)} plugins failed: {listed}")


def _table(records: list[PluginRecord]) -> list[str]:
    """Aligned columns; below a failed plugin its reason."""
    head = ("NAME", "STATUS", "VERSION", "DISTRIBUTION", "MS", "OFFERS")
    rows = [head] + [
        (
            _safe(r.name),
            r.status,
            _safe(r.version),
            _safe(r.distribution),
            f"{r.load_ms:.0f}" if r.load_ms else "-",
            ", ".join(r.offers) or ", ".join(h for h in r.hooks) or "-",
        )
        for r in records
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
    lines = []
    for record, row in zip([None, *records], rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
        if record is not None and record.error:
            lines.append(f"  {record.stage}: {_safe(record.error)}")
    return lines


def _safe(text: str) -> str:
    from bronze_tui.headless.plain import plain

    return plain(text, 200)
