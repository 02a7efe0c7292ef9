"""Rows of a query on screen: an Arrow table, drawn cell by cell as literal text.

Imported when the first result comes, as it brings Arrow with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from rich.align import Align
from rich.console import RenderableType
from rich.text import Text
from textual.coordinate import Coordinate
from textual_fastdatatable import ArrowBackend
from textual_fastdatatable import DataTable as FastTable

from bronze_tui.tui.plain import plain

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WIDE = 66
"""Most cells of a column: a hash is shown whole where there is room."""

NARROW = 30
"""The same where a screen would hold two columns."""

_NULL = Text("null", style="dim italic", no_wrap=True)


class MeasuredBackend(ArrowBackend):
    """Arrow rows whose column widths were measured beforehand, off the event loop."""

    def __init__(self, data: pa.Table, widths: Sequence[int]) -> None:
        super().__init__(data)
        self._widths = list(widths)

    @property
    def column_content_widths(self) -> list[int]:
        return self._widths


class ResultTable(FastTable):
    """The rows; fast at a million of them, because only what is visible is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set()
    DEFAULT_CSS = """
    ResultTable { height: 1fr; max-height: 100%; background: $background; }
    ResultTable:dark { background: $background; }
    ResultTable > .datatable--header { background: $surface; color: $primary; text-style: bold; }
    ResultTable > .datatable--even-row { background: $background; }
    ResultTable:dark > .datatable--even-row { background: $background; }
    ResultTable > .datatable--odd-row { background: $surface 60%; }
    ResultTable > .datatable--cursor { background: $panel; color: $foreground; }
    ResultTable:focus > .datatable--cursor { background: $primary; color: $background; }
    ResultTable > .datatable--hover { background: $panel 60%; }
    """

    def __init__(self, data: pa.Table, widths: Sequence[int], *, roomy: bool) -> None:
        super().__init__(
            backend=MeasuredBackend(data, widths),
            column_labels=[_label(field) for field in data.schema],
            max_column_content_width=MOST_WIDE if roomy else NARROW,
            zebra_stripes=True,
            cursor_foreground_priority="css",
            cursor_background_priority="css",
            render_markup=False,
        )

    def text_at_cursor(self) -> str:
        """The cell under the cursor as text, to copy."""
        if not self.row_count:
            return ""
        value = self.get_cell_at(self.cursor_coordinate)
        return "" if value is None else str(value)

    def name_at_cursor(self) -> str:
        """The column that the cursor is in."""
        return str(self.ordered_columns[self.cursor_column].label)

    def _get_cell_renderable(
        self, row_index: int, column_index: int, max_width: int | None = None
    ) -> RenderableType:
        if row_index == -1:
            return super()._get_cell_renderable(row_index, column_index, max_width)
        return cell(self.get_cell_at(Coordinate(row_index, column_index)))


def _label(field: pa.Field) -> Text:
    import pyarrow.types as pt

    label = plain(field.name, limit=MOST_WIDE)
    if pt.is_integer(field.type) or pt.is_floating(field.type) or pt.is_decimal(field.type):
        label.justify = "right"
    return label


def cell(value: Any) -> RenderableType:
    """A value as one literal line: numbers grouped and to the right, null said so."""
    if value is None:
        return _NULL
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return Align(plain(number(value)), align="right")
    return plain(value)


def number(value: float | Decimal) -> str:
    """Digits grouped by thousands; fractions as short as they can be told."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.1f}"


def measure(data: pa.Table) -> list[int]:
    """Cells that each column needs, its name included, at most 66.

    Text is counted in characters; wide characters are cut a little earlier than needed.
    """
    return [
        min(MOST_WIDE, max(_widest(column), min(len(name), MOST_WIDE), 1))
        for name, column in zip(data.column_names, data.columns, strict=True)
    ]


def _widest(column: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc
    import pyarrow.types as pt

    kind = column.type
    null = 4 if column.null_count else 0
    if not len(column) or pt.is_null(kind):
        return null
    if pt.is_string(kind) or pt.is_large_string(kind):
        return max(null, pc.max(pc.utf8_length(column)).as_py() or 0)
    if pt.is_boolean(kind):
        return 5
    if pt.is_integer(kind) or pt.is_decimal(kind):
        ends = pc.min_max(column).as_py()
        return max(null, *(len(number(v)) for v in ends.values() if v is not None), 1)
    return max(null, 14)
