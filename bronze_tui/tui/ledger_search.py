"""From what was typed to a ledger: by the beginning of its hash, or a transaction by its hash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.errors import UsageError
from bronze_tui.inspect.client import InspectClient
from bronze_tui.tui.widgets.figures import count
from bronze_tui.tui.widgets.ledger_facts import Goto


@dataclass(frozen=True, slots=True)
class Hit:
    """A ledger, and for a transaction the path to its envelope or result in the decoded XDR."""

    sequence: int
    path: tuple[int, ...] = ()
    note: str = ""


async def search(
    client: InspectClient,
    wanted: Goto,
    here: tuple[str, int, int],
    tell: Callable[[dict[str, Any]], None],
) -> Hit:
    """Search ledger hashes of all datasets, then transactions.

    Args:
        here: chain key, first and last ledger of the partition in front: where transactions are
            looked for unless ``wanted`` names a range.
        tell: how far it is, from another thread.

    Raises:
        UsageError: nothing has that hash. BronzeError: the files cannot be read.
    """
    if wanted.kind in ("prefix", "hash"):
        reply = await client.ask("find_ledger", prefix=wanted.text, progress=tell, patience=None)
        if reply["found"]:
            return Hit(int(reply["found"]["sequence"]))
        if wanted.kind == "prefix":
            searched = f"{count(reply['searched'])} searched"
            raise UsageError(f"no ledger hash begins with {wanted.text}: {searched}")
    chain_key, first, last = here
    if wanted.within is not None:
        first, last = wanted.within.start, wanted.within.end
    reply = await client.ask(
        "find_transaction",
        chain_key=chain_key,
        wanted=wanted.text,
        first=first,
        last=last,
        progress=tell,
        patience=None,
    )
    found = reply["found"]
    if found is None:
        raise _missing(reply["mentioned"], first, last)
    note = f"{found['kind']} in ledger {count(found['sequence'])}: {found['note']}"
    return Hit(int(found["sequence"]), tuple(found["envelope"] or found["result"]), note)


def _missing(mentioned: list[int], first: int, last: int) -> UsageError:
    text = f"no such transaction in ledgers {first}-{last}"
    if mentioned:
        text += f"; its bytes stand in ledger {mentioned[0]}, but not as its hash"
    return UsageError(text, todo="add 'in FIRST-LAST' to search other ledgers")
