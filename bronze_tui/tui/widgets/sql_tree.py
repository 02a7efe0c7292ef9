"""What can be queried: tables with their columns, and saved queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from bronze_tui.domain.text import safe_text
from bronze_tui.tui.plain import plain

if TYPE_CHECKING:
    from bronze_tui.query.client import Schema

_SHORT = {
    "VARCHAR": "text",
    "BLOB": "blob",
    "BIGINT": "i64",
    "UBIGINT": "u64",
    "INTEGER": "i32",
    "UINTEGER": "u32",
    "DOUBLE": "f64",
    "BOOLEAN": "bool",
    "TIMESTAMP WITH TIME ZONE": "time",
}


@dataclass(frozen=True)
class Leaf:
    """What a line of the tree stands for: a table, a column or a saved query."""

    kind: str
    text: str


class SchemaTree(Tree[Leaf]):
    """Enter on a column puts its name into the query, on a saved query loads and runs it."""

    DEFAULT_CSS = """
    SchemaTree { background: $background; padding: 0; scrollbar-size: 0 1; }
    SchemaTree > .tree--cursor { background: $panel; color: $foreground; }
    SchemaTree:focus > .tree--cursor { background: $primary; color: $background; }
    SchemaTree > .tree--guides { color: $border; }
    SchemaTree > .tree--highlight-line { background: $background; }
    """

    class ColumnChosen(Message):
        """A column's name is wanted in the query."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class SavedChosen(Message):
        """A saved query is to be loaded and run."""

        def __init__(self, sql: str) -> None:
            super().__init__()
            self.sql = sql

    def __init__(self) -> None:
        super().__init__("", id="tables")
        self.show_root = False
        self.guide_depth = 2
        self._tables: TreeNode[Leaf] | None = None

    def on_mount(self) -> None:
        from bronze_tui.query.saved import SAVED

        self._tables = self.root.add("tables", expand=True, allow_expand=True)
        saved = self.root.add("saved queries", expand=True)
        for query in SAVED:
            saved.add_leaf(Text(query.name), Leaf("saved", query.sql))

    def show_schema(self, schema: Schema) -> None:
        """Draw tables and columns; a table that was open stays open."""
        if self._tables is None:
            return
        known = [f"{t.name}{t.columns}" for t in schema.tables]
        if known == getattr(self, "_known", None):
            return
        self._known = known
        opened = {n.data.text for n in self._tables.children if n.data and n.is_expanded}
        self._tables.remove_children()
        for number, table in enumerate(schema.tables):
            fresh = not opened and number == 0
            node = self._tables.add(
                plain(table.name),
                Leaf("table", table.name),
                expand=table.name in opened or fresh,
            )
            width = max(len(name) for name, _ in table.columns) if table.columns else 0
            for name, kind in table.columns:
                label = plain(name)
                label.append(" " * (min(width, 20) - len(name) + 1))
                label.append(safe_text(_SHORT.get(kind, kind.lower()))[:12], style="dim")
                node.add_leaf(label, Leaf("column", name))

    def on_tree_node_selected(self, event: Tree.NodeSelected[Leaf]) -> None:
        event.stop()
        leaf = event.node.data
        if leaf is None or leaf.kind == "table":
            return
        if leaf.kind == "column":
            self.post_message(self.ColumnChosen(leaf.text))
        else:
            self.post_message(self.SavedChosen(leaf.text))
