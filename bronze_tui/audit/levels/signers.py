"""Who signed the ledgers: known validators, and strangers, judged over all partitions together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bronze_tui.audit.findings import Finding
from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.unit import Outcome

_SHOWN = 20
"""Strangers told one by one; anybody can make as many keys as ledgers."""


def stranger_findings(
    outcomes: Sequence[Outcome], trust: Trust, *, strict: bool
) -> Iterator[Finding]:
    """One finding for each key of each network that is on no list; none where there is no list.

    Args:
        strict: they are errors, not warnings.
    """
    for network in sorted({out.unit.network for out in outcomes}):
        known = trust.validators_of(network)
        if not known:
            continue
        here = [out for out in outcomes if out.unit.network == network]
        counts = count_signers(here)
        strangers = [(key, count) for key, count in counts.most_common() if key not in known]
        for key, count in strangers[:_SHOWN]:
            first = min(
                out.first_signed.get(key, out.unit.partition.start)
                for out in here
                if key in out.signers
            )
            yield _finding(
                network,
                f"signed {count:,} ledgers, the first of them {first}",
                str(first),
                key,
                strict,
            )
        if strangers[_SHOWN:]:
            count = sum(count for _, count in strangers[_SHOWN:])
            text = f"and {len(strangers) - _SHOWN:,} more such keys signed {count:,} ledgers"
            yield _finding(network, text, "", "", strict)


def names_of(outcomes: Iterable[Outcome], trust: Trust) -> dict[str, str]:
    """Name by G-address of all validators known for the networks of ``outcomes``."""
    names: dict[str, str] = {}
    for network in {out.unit.network for out in outcomes}:
        names.update(trust.validators_of(network))
    return names


def count_signers(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Signed ledgers by the validator's G-address."""
    counts: Counter[str] = Counter()
    for out in outcomes:
        counts.update(out.signers)
    return counts


def _finding(network: str, text: str, ledgers: str, key: str, strict: bool) -> Finding:
    return Finding(
        "unknown_validator",
        "error" if strict else "warning",
        network,
        f"a validator that is not on the list {text}",
        None,
        ledgers,
        found=key,
        cause="the list is not of this time, or the history was signed by somebody else",
    )
