"""What the doctor found, as data: one line each, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bronze_tui.config.redact import redact
from bronze_tui.domain.errors import BronzeError, ConfigError, Exit

State = Literal["ok", "warn", "fail", "none"]
_FIRST = (Exit.USAGE, Exit.PLUGIN, Exit.FAILED, Exit.UNREACHABLE)
"""Which code wins when several things are wrong: an outage may pass by itself, the others not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check; ``none`` means that it was not tried, and ``detail`` says why.

    ``exit_code`` is what this finding alone would end the command with.
    """

    group: str
    name: str
    state: State
    text: str
    detail: str = ""
    todo: str = ""
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Notes:
    """Makes the findings of one group; secrets are taken out of every text."""

    def __init__(self, group: str) -> None:
        self.group = group

    def ok(self, name: str, text: str, detail: str = "") -> Finding:
        """It is as it should be."""
        return self._make(name, "ok", text, detail)

    def warn(self, name: str, text: str, detail: str = "", todo: str = "") -> Finding:
        """A run works, but a person should know."""
        return self._make(name, "warn", text, detail, todo)

    def none(self, name: str, text: str, detail: str = "") -> Finding:
        """It was not tried."""
        return self._make(name, "none", text, detail)

    def fail(
        self, name: str, text: str, detail: str = "", todo: str = "", code: Exit = Exit.FAILED
    ) -> Finding:
        """A run cannot work, or not safely."""
        return self._make(name, "fail", text, detail, todo, code)

    def error(self, name: str, text: str, error: BronzeError) -> Finding:
        """A failure, with the error's own words and exit code."""
        if isinstance(error, ConfigError):
            return self.fail(name, text, "; ".join(error.problems), code=Exit.USAGE)
        what = f"{error.where}: {error.what}" if error.where else error.what
        known = error.exit_code in (Exit.USAGE, Exit.PLUGIN, Exit.UNREACHABLE)
        code = error.exit_code if known else Exit.FAILED
        return self.fail(name, text, what, error.todo, code)

    def _make(
        self, name: str, state: State, text: str, detail: str, todo: str = "", code: int = 0
    ) -> Finding:
        said = (redact(text), redact(detail), redact(todo))
        return Finding(self.group, name, state, *said, exit_code=int(code))


def exit_code(findings: Iterable[Finding]) -> Exit:
    """0 without failures; else 2 configuration, 4 plugin, 1 anything else, 7 when only something
    is unreachable, the first of these that occurs."""
    codes = {finding.exit_code for finding in findings if finding.state == "fail"}
    return next((code for code in _FIRST if code in codes), Exit.OK)
