"""Widgets that draw again only what changed: each line drawn is CPU taken from the copy and bytes
over somebody's slow line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Self

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Static


class Sparing(Widget):
    """A widget whose refreshes can be limited to some of its lines."""

    _only: tuple[Region, ...] = ()

    @contextmanager
    def only(self, *lines: int) -> Iterator[None]:
        """While this lasts a refresh draws just these lines of the content; -1 is the border's."""
        self._only = tuple(Region(0, y, self.size.width, 1) for y in lines)
        try:
            yield
        finally:
            self._only = ()

    @contextmanager
    def border_only(self) -> Iterator[None]:
        """While this lasts a refresh draws just the lines above and below the content."""
        with self.only(-1, self.content_size.height):
            yield

    def refresh(self, *regions: Region, **how: Any) -> Self:
        return super().refresh(*(regions or self._only), **how)


class Lines(Sparing, Static):
    """Content whose lines never wrap; give it some by ``figures.put``."""

    DEFAULT_CSS = "Lines { text-wrap: nowrap; text-overflow: ellipsis; }"

    _looks: tuple[object, ...] = ()

    def update_lines(self, content: Content) -> None:
        """Put up ``content``, drawing only the lines that differ from what stood there."""
        before, self._looks = self._looks, looks(content)
        if len(before) != len(self._looks):
            self.update(content)
            return
        pairs = zip(before, self._looks, strict=True)
        with self.only(*(y for y, (old, new) in enumerate(pairs) if old != new)):
            self.update(content, layout=False)


def looks(content: Content) -> tuple[object, ...]:
    """All that decides what each line looks like: its text, and the styles by place in it."""
    texts = content.plain.split("\n")
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    styles: list[list[object]] = [[] for _ in texts]
    for span in content.spans:
        at = bisect_right(starts, span.start) - 1
        while at < len(texts) and starts[at] < span.end:
            styles[at].append((span.start - starts[at], span.end - starts[at], span.style))
            at += 1
    return tuple((text, tuple(found)) for text, found in zip(texts, styles, strict=True))
