"""The report as a document to print or hand over: Markdown, or one HTML page without scripts.

Every text from events and files is third-party: it is escaped in both forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bronze_tui import __version__
from bronze_tui.audit.depth import depth_rows
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.hashrules import RULE_WORDS
from bronze_tui.audit.report import VerifyReport, limit_lines, signed_head_words, verdict_line
from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.text import safe_text

SUFFIXES = (".md", ".html")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")
_HEADINGS = ("severity", "finding", "event", "ledgers", "file", "message", "expected", "found")
_STYLE = (
    "body{font:14px/1.5 sans-serif;max-width:72em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.2em .5em;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}.OK{color:#060}"
    ".BROKEN,.UNREAD{color:#a00}@media print{body{margin:0}}"
)


def check_name(path: Path) -> None:
    """Refuse a report's name that says no form.

    Raises:
        UsageError: it ends neither in ``.md`` nor in ``.html``.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            "a report is Markdown or HTML", where=str(path), todo="end its name in .md or .html"
        )


def printed(report: VerifyReport, path: Path, when: str) -> str:
    """The document in the form that the name asks for.

    Args:
        when: time of the verification, for the head of the page.
    """
    check_name(path)
    return _html(report, when) if path.suffix == ".html" else _markdown(report, when)


def _facts(report: VerifyReport, when: str) -> Iterator[tuple[str, str]]:
    yield "verdict", safe_text(verdict_line(report))
    yield "verified", f"{when} by bronze {__version__}, level {report.level}"
    for chain in report.chains:
        covered = ", ".join(str(r) for r in chain.ledgers[:8]) or "none"
        yield "chain", safe_text(chain.chain_key)
        yield "events", f"{chain.events:,}, ledgers {covered}"
        yield "head", chain.head or "none"
        if chain.rules != ("v1.1",):
            yield "hashed by", ", ".join(RULE_WORDS[rule] for rule in chain.rules)
        signed = report.signed_heads.get(chain.chain_key)
        if signed is not None:
            yield "signed head", signed_head_words(signed, len(chain.line))
    if report.depth is not None:
        yield from ((name.strip(), value) for name, value in depth_rows(report.depth))


def _cells(finding: Finding) -> tuple[str, ...]:
    event = "" if finding.event is None else str(finding.event)
    message = f"{finding.message}. Likely: {finding.cause}" if finding.cause else finding.message
    texts = (finding.severity, finding.kind, event, finding.ledgers, finding.file, message)
    return tuple(safe_text(text) for text in (*texts, finding.expected, finding.found))


def _markdown(report: VerifyReport, when: str) -> str:
    lines = [f"# Verification: {report.verdict}", "", "| | |", "|---|---|"]
    lines += [f"| {_plain(name)} | {_plain(value)} |" for name, value in _facts(report, when)]
    findings = list(report.all_findings())
    lines += ["", "## Findings", ""]
    if findings:
        lines += [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
        lines += [f"| {' | '.join(_plain(c) for c in _cells(f))} |" for f in findings]
    else:
        lines.append("None.")
    lines += ["", "## Limits", ""]
    lines += [f"* {_plain(line)}" for line in limit_lines(report)]
    return "\n".join([*lines, ""])


def _html(report: VerifyReport, when: str) -> str:
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n"
        for name, value in _facts(report, when)
    )
    findings = list(report.all_findings())
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(f)) + "</tr>\n"
        for f in findings
    )
    table = f"<table><tr>{head}</tr>\n{rows}</table>" if findings else "<p>None.</p>"
    limits = "".join(f"<li>{escape(line)}</li>\n" for line in limit_lines(report))
    verdict = report.verdict
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Verification: {verdict}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1 class="{verdict}">Verification: {verdict}</h1>\n<table>{facts}</table>\n'
        f"<h2>Findings</h2>\n{table}\n<h2>Limits</h2>\n<ul>{limits}</ul>\n</body></html>\n"
    )


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
