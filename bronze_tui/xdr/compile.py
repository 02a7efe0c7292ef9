"""Developer command that reads the grammar out of `stellar_sdk.xdr` and writes the table file.

``python -m bronze_tui.xdr.compile`` after a bump of the SDK; ``--check`` only compares. Not used
at run time.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bronze_tui.xdr.grammar import GrammarError, Parser
from bronze_tui.xdr.table import TABLE_FILE, Ref, Table, Type, dump, parse, walk_nodes

ROOTS = ("LedgerCloseMeta", "LedgerCloseMetaBatch", "TransactionEnvelope", "LedgerHeader")
_HEADING = "XDR Source Code::"
_ANONYMOUS = ("union switch", "struct\n", "struct {")


def sources() -> list[str]:
    """XDR text of every named type of the installed SDK, enums first."""
    from stellar_sdk import xdr

    found = []
    for _, item in sorted(inspect.getmembers(xdr, inspect.isclass)):
        _, heading, source = inspect.cleandoc(item.__doc__ or "").partition(_HEADING)
        text = inspect.cleandoc(source).strip()
        if heading and not text.startswith(_ANONYMOUS):
            found.append(text)
    return sorted(found, key=lambda text: not text.startswith("enum"))


def constants() -> dict[str, int]:
    """``const`` definitions of the installed SDK."""
    from stellar_sdk.xdr import constants as module

    return {name: value for name, value in vars(module).items() if isinstance(value, int)}


def reachable(types: Mapping[str, Type], roots: Iterable[str]) -> dict[str, Type]:
    """The types that ``roots`` need.

    Raises:
        GrammarError: a name without a definition.
    """
    found: dict[str, Type] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in types:
            raise GrammarError(f"type {name} is used but not defined")
        found[name] = types[name]
        waiting += [node.name for node in walk_nodes(types[name]) if isinstance(node, Ref)]
    return found


def compile_table() -> Table:
    """The grammar of the installed SDK, from ``ROOTS`` down.

    Raises:
        GrammarError: a docstring is not understood.
    """
    from stellar_sdk.__version__ import __version__

    parser = Parser(constants())
    types = dict(parser.definition(text) for text in sources())
    return Table(__version__, reachable(types, ROOTS))


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or with ``--check`` exit 1 when the grammar has drifted."""
    parser = argparse.ArgumentParser(prog="python -m bronze_tui.xdr.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, exit 1 on drift")
    options = parser.parse_args(arguments)
    path = Path(__file__).with_name(TABLE_FILE)
    table = compile_table()
    summary = f"stellar-sdk {table.sdk_version}: {len(table.types)} types, {table.nodes()} nodes"
    if not options.check:
        path.write_bytes(dump(table))
        print(f"{summary}, grammar {table.digest}")
        return 0
    if not path.exists() or parse(path.read_bytes()).types != table.types:
        print(f"{summary}: {path.name} has drifted, compile it again", file=sys.stderr)
        return 1
    print(f"{summary}: {path.name} agrees")
    return 0


if __name__ == "__main__":
    sys.exit(main())
