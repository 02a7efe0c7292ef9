"""Parser of the XDR language (RFC 4506 section 6) as far as Stellar's files use it.

Input is the text of one definition; output is its name and node. No file or SDK access.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bronze_tui.xdr.table import (
    NO_LIMIT,
    PRIMITIVE_WORDS,
    Arm,
    Array,
    Enum,
    Opaque,
    Optional,
    Primitive,
    Ref,
    Struct,
    Type,
    Union,
    Vector,
)

_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>-?(?:0[xX][0-9A-Fa-f]+|[0-9]+))"
    r"|(?P<mark>[{}()\[\]<>*,;:=])",
    re.DOTALL,
)


class GrammarError(ValueError):
    """The text is not XDR, or uses something this parser does not support."""


def tokens(source: str) -> Iterator[str]:
    """Words, numbers and punctuation of ``source``, comments left out."""
    position = 0
    while position < len(source):
        found = _TOKEN.match(source, position)
        if found is None:
            raise GrammarError(f"not XDR: {source[position : position + 40]!r}")
        position = found.end()
        if found.lastgroup != "skip":
            yield found.group()


class Parser:
    """Reads definitions; ``constants`` and the enums met so far give names their numbers.

    Members of all enums share one name space (RFC 4506 section 6.4), so the enums must have been
    read before the unions that use them.
    """

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._numbers = dict(constants)
        self._tokens: list[str] = []

    def definition(self, source: str) -> tuple[str, Type]:
        """Parse one ``struct``, ``union``, ``enum`` or ``typedef``.

        Raises:
            GrammarError: syntax error, unknown constant or trailing text.
        """
        self._tokens = list(tokens(source))[::-1]
        kind = self._take()
        if kind == "typedef":
            name, node = self._declaration()
        else:
            name = self._take()
            node = self._body(kind)
        self._expect(";")
        if self._tokens:
            raise GrammarError(f"text after the definition of {name}: {self._tokens[-1]!r}")
        return name, node

    def _take(self) -> str:
        if not self._tokens:
            raise GrammarError("definition ends too early")
        return self._tokens.pop()

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _expect(self, wanted: str) -> None:
        found = self._take()
        if found != wanted:
            raise GrammarError(f"{wanted!r} expected, found {found!r}")

    def _number(self) -> int:
        token = self._take()
        if token in self._numbers:
            return self._numbers[token]
        try:
            return int(token, 0)
        except ValueError as error:
            raise GrammarError(f"unknown constant {token}") from error

    def _body(self, kind: str) -> Type:
        match kind:
            case "struct":
                return self._struct()
            case "union":
                return self._union()
            case "enum":
                return self._enum()
            case _:
                raise GrammarError(f"unknown kind of definition: {kind!r}")

    def _enum(self) -> Enum:
        self._expect("{")
        members = []
        while self._peek() != "}":
            name = self._take()
            self._expect("=")
            value = self._number()
            self._numbers[name] = value
            members.append((name, value))
            if self._peek() == ",":
                self._take()
        self._expect("}")
        return Enum(tuple(members))

    def _struct(self) -> Struct:
        self._expect("{")
        fields = []
        while self._peek() != "}":
            fields.append(self._declaration())
            self._expect(";")
        self._expect("}")
        if not fields:
            raise GrammarError("a struct needs a field")
        return Struct(tuple(fields))

    def _union(self) -> Union:
        self._expect("switch")
        self._expect("(")
        discriminant, switch = self._declaration()
        self._expect(")")
        self._expect("{")
        arms = []
        while self._peek() != "}":
            arms.append(self._arm())
        self._expect("}")
        return Union(discriminant, switch, tuple(arms))

    def _arm(self) -> Arm:
        labels: list[int] | None = []
        while self._peek() in ("case", "default"):
            if self._take() == "default":
                labels = None
            else:
                label = self._number()
                if labels is not None:
                    labels.append(label)
            self._expect(":")
        if labels == []:
            raise GrammarError(f"'case' expected, found {self._peek()!r}")
        if self._peek() == "void":
            self._take()
            name, item = "", None
        else:
            name, item = self._declaration()
        self._expect(";")
        return Arm(None if labels is None else tuple(labels), name, item)

    def _declaration(self) -> tuple[str, Type]:
        kind = self._take()
        if kind in ("opaque", "string"):
            return self._bytes(kind)
        node = self._specifier(kind)
        if self._peek() == "*":
            self._take()
            return self._take(), Optional(node)
        name = self._take()
        if self._peek() == "[":
            return name, Array(self._bracketed("[", "]"), node)
        if self._peek() == "<":
            return name, Vector(self._bracketed("<", ">"), node)
        return name, node

    def _specifier(self, kind: str) -> Type:
        if kind in ("struct", "union", "enum") and self._peek() in ("{", "switch"):
            return self._body(kind)
        if kind == "unsigned":
            kind = f"unsigned {self._take()}"
        return Primitive(kind) if kind in PRIMITIVE_WORDS else Ref(kind)

    def _bytes(self, kind: str) -> tuple[str, Type]:
        name = self._take()
        if self._peek() == "[" and kind == "opaque":
            return name, Opaque(self._bracketed("[", "]"), fixed=True)
        return name, Opaque(self._bracketed("<", ">"), fixed=False, text=kind == "string")

    def _bracketed(self, opening: str, closing: str) -> int:
        self._expect(opening)
        limit = NO_LIMIT if self._peek() == closing else self._number()
        if opening == "[" and limit == NO_LIMIT:
            raise GrammarError("an array needs a length")
        self._expect(closing)
        return limit
