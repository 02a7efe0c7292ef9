"""Whether this terminal can show the screens; a run needs none."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping

from bronze_tui.inspect.doctor.finding import Finding, Notes

NOTES = Notes("terminal")
_LEAST = (80, 24)
_NO_TUI = "use bronze run --no-tui, which needs none of it"


def checks(
    environ: Mapping[str, str], *, is_terminal: bool, encoding: str, columns: int, rows: int
) -> Iterator[Finding]:
    """From facts that the caller collected."""
    term = environ.get("TERM", "")
    if not is_terminal:
        yield NOTES.none("terminal", "the output is no terminal", "screens are not shown here")
        return
    if term in ("", "dumb"):
        yield NOTES.warn("term", f"TERM is {term or 'empty'}", todo=_NO_TUI)
    else:
        yield NOTES.ok("term", f"TERM is {term}", colours(environ))
    if encoding.lower().replace("-", "") == "utf8":
        yield NOTES.ok("utf8", "UTF-8")
    else:
        todo = "set LANG or LC_ALL to a UTF-8 locale, such as C.UTF-8"
        yield NOTES.warn("utf8", f"the encoding is {encoding}, not UTF-8", todo=todo)
    if columns < _LEAST[0] or rows < _LEAST[1]:
        text = f"{columns} x {rows} cells are few"
        yield NOTES.warn("size", text, todo=f"make it {_LEAST[0]} x {_LEAST[1]} or larger")
    else:
        yield NOTES.ok("size", f"{columns} x {rows} cells")


def colours(environ: Mapping[str, str]) -> str:
    """What the environment promises."""
    if environ.get("NO_COLOR"):
        return "no colours (NO_COLOR is set)"
    if environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256" in environ.get("TERM", "") else "few colours"


def of_this_process() -> Iterator[Finding]:
    """The checks on standard output."""
    width, height = shutil.get_terminal_size()
    return checks(
        os.environ,
        is_terminal=sys.stdout.isatty(),
        encoding=sys.stdout.encoding or "",
        columns=width,
        rows=height,
    )
