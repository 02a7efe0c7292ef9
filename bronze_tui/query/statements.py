"""SQL text as tokens: which statement stands under the cursor, and what the console refuses.

The refusal is a courtesy that answers with a sentence; what makes the console safe is that its
process has nothing to write to (see :mod:`bronze_tui.query.sandbox`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "quoted", "string", "number", "comment", "symbol", "end"]

READS = ("SELECT", "EXPLAIN", "DESCRIBE", "SUMMARIZE", "SHOW")
READ_RULE = "the console only reads: one SELECT, EXPLAIN, DESCRIBE, SUMMARIZE or SHOW"

_TOKENS = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<string>  [eE]'(?:\\.|''|[^'\\])*(?:'|\Z) | '(?:''|[^'])*(?:'|\Z)
               | \$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z) )
  | (?P<quoted>  "(?:""|[^"])*(?:"|\Z) )
  | (?P<word>    [^\W\d][\w$]* )
  | (?P<number>  \d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+ )
  | (?P<end>     ; )
  | (?P<symbol>  \S )
    """,
    re.VERBOSE | re.DOTALL,
)

_WRITE_WORDS = """
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT COPY CREATE DEALLOCATE DELETE
    DETACH DROP EXECUTE EXPORT FORCE IMPORT INSERT INSTALL LOAD MERGE PRAGMA PREPARE RESET ROLLBACK
    SET START TRUNCATE UPDATE USE VACUUM
"""
_HIDDEN_WRITES = frozenset(("COPY", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"))
_KEYWORDS = """
    ALL AND ANTI ANY AS ASC ASOF BETWEEN BY CASE CAST CROSS DESC DESCRIBE DISTINCT ELSE END EXCEPT
    EXCLUDE EXISTS EXPLAIN FALSE FILTER FOLLOWING FROM FULL GROUP HAVING ILIKE IN INNER INTERSECT
    INTERVAL IS JOIN LATERAL LEFT LIKE LIMIT NATURAL NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER
    PARTITION POSITIONAL PRECEDING QUALIFY RANGE RECURSIVE REPLACE RIGHT ROW ROWS SAMPLE SELECT
    SEMI SHOW SUMMARIZE TABLE THEN TRUE UNBOUNDED UNION USING VALUES WHEN WHERE WINDOW WITH
"""
_FUNCTIONS = """
    abs approx_count_distinct arg_max arg_min avg coalesce concat contains count count_if date_diff
    date_part date_trunc epoch first format greatest hex lag last lead least length list lower max
    median min mode octet_length quantile_cont rank round row_number starts_with stddev strftime
    string_agg substring sum try_cast unnest upper
"""

_WRITES = frozenset(_WRITE_WORDS.split())
KEYWORDS = frozenset(_KEYWORDS.split())
"""Words that a query is built of, for colour and completion."""

FUNCTIONS = tuple(_FUNCTIONS.split())
"""Functions worth offering; DuckDB has hundreds more."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL; ``start`` and ``end`` are offsets into the text, end exclusive."""

    kind: Kind
    start: int
    end: int
    text: str


def tokens(sql: str) -> Iterator[Token]:
    """All tokens in order, comments too; white space is left out. Never fails."""
    for match in _TOKENS.finditer(sql):
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        yield Token(kind, match.start(), match.end(), match[0])  # type: ignore[arg-type]


def statements(sql: str) -> list[tuple[int, int]]:
    """Offsets of each statement, without its semicolon; empty ones are left out."""
    found: list[tuple[int, int]] = []
    first: int | None = None
    last = 0
    for token in tokens(sql):
        if token.kind == "end":
            if first is not None:
                found.append((first, last))
            first = None
        elif token.kind != "comment":
            first = token.start if first is None else first
            last = token.end
    return found if first is None else [*found, (first, last)]


def statement_at(sql: str, offset: int) -> str:
    """The statement that holds ``offset``, else the nearest before it, else the first."""
    found = statements(sql)
    if not found:
        return ""
    before = [span for span in found if span[0] <= offset]
    start, end = before[-1] if before else found[0]
    return sql[start:end]


def refusal(sql: str) -> str:
    """Why the console will not run ``sql``, as a sentence; empty when it may try.

    Catches what DuckDB itself calls a SELECT: a COPY, INSERT, UPDATE, DELETE or MERGE inside a
    CTE, and an EXPLAIN ANALYZE of one.
    """
    spans = statements(sql)
    if not spans:
        return "there is no statement to run"
    if len(spans) > 1:
        return f"these are {len(spans)} statements; {READ_RULE}"
    words = [t for t in tokens(sql) if t.kind not in ("comment", "end")]
    first = words[0].text.upper()
    if words[0].kind == "word" and first in _WRITES:
        return f"{first} is refused; {READ_RULE}"
    hidden = _hidden_write(words)
    return f"{hidden} inside a query is refused; {READ_RULE}" if hidden else ""


def _hidden_write(words: Sequence[Token]) -> str:
    """The first word that would write although the statement does not begin with it."""
    explaining = words[0].text.upper() == "EXPLAIN"
    for before, token, after in zip(words, words[1:], [*words[2:], None], strict=False):
        word = token.text.upper()
        if token.kind != "word" or word not in _HIDDEN_WRITES:
            continue
        called = after is not None and after.text == "("
        opened = before.text == "(" and not (called and word != "COPY")
        explained = explaining and before.text.upper() in ("EXPLAIN", "ANALYZE", ")")
        if opened or explained:
            return word
    return ""
