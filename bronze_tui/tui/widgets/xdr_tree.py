"""Decoded XDR as a tree whose nodes are asked for when they are opened; and bytes as a hex dump."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from bronze_tui.domain.text import safe_text
from bronze_tui.tui.plain import plain
from bronze_tui.tui.widgets.figures import count

PAGE = 100
_VALUE = 400


@dataclass(slots=True)
class Item:
    """What a tree node stands for; ``rest`` marks the line that loads more of its parent."""

    path: tuple[int, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    total: int = 0
    loaded: int = 0
    asked: bool = False
    rest: bool = False


XdrNode = TreeNode[Item]


class XdrTree(Tree[Item], inherit_bindings=False):
    """Asks for children by ``Wanted``; the page answers with ``put``."""

    DEFAULT_CSS = """
    XdrTree { background: $background; padding: 0; height: 1fr; scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0; background-tint: $background 0%; }
    XdrTree:focus { background-tint: $background 0%; }
    XdrTree > .tree--guides { color: $border; }
    XdrTree > .tree--guides-selected { color: $primary; }
    XdrTree > .tree--cursor { background: $panel; }
    XdrTree:focus > .tree--cursor { background: $block-cursor-background;
        color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"xdr--name", "xdr--type", "xdr--value"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "up", show=False, id="xdr.up", tooltip="node above"),
        Binding("down", "cursor_down", "down", show=False, id="xdr.down", tooltip="node below"),
        Binding(
            "enter", "select_cursor", "open", show=False, id="xdr.toggle", tooltip="open, close"
        ),
        Binding("right", "open", "open", show=False, id="xdr.open", tooltip="open the node"),
        Binding("left", "shut", "close", show=False, id="xdr.shut", tooltip="close, or go up"),
        Binding("pageup", "page_up", "page up", show=False, id="xdr.pageup", tooltip="page up"),
        Binding(
            "pagedown", "page_down", "page down", show=False, id="xdr.pagedown", tooltip="down"
        ),
        Binding("home", "scroll_home", "top", show=False, id="xdr.home", tooltip="first node"),
        Binding("end", "scroll_end", "bottom", show=False, id="xdr.end", tooltip="last node"),
    ]

    class Wanted(Message):
        """Children of a node from ``offset`` on are needed."""

        def __init__(self, node: XdrNode, offset: int) -> None:
            super().__init__()
            self.node, self.offset = node, offset

    class Pointed(Message):
        """The cursor is on another node."""

        def __init__(self, item: Item) -> None:
            super().__init__()
            self.item = item

    def __init__(self, *, id: str = "xdr") -> None:
        super().__init__(Text(""), id=id)
        self.guide_depth = 2
        self.show_root = False

    @property
    def chosen(self) -> Item | None:
        """The node under the cursor."""
        node = self.cursor_node
        return node.data if node is not None else None

    def empty(self) -> None:
        """No ledger."""
        self.clear()
        self.root.data = None

    def begin(self, reply: Mapping[str, Any]) -> None:
        """A new ledger: its root and first children."""
        self.clear()
        self.root.data = Item((), reply["self"])
        self.put(self.root, reply)
        self.root.expand()

    def put(self, node: XdrNode, reply: Mapping[str, Any]) -> None:
        """Children of ``node`` have come; those that are there already are left alone."""
        item = node.data
        if item is None or reply["offset"] != item.loaded:
            return
        last = node.children[-1] if node.children else None
        if last is not None and last.data is not None and last.data.rest:
            last.remove()
        for info in reply["children"]:
            below = Item((*item.path, item.loaded), info)
            node.add(label(info), below, allow_expand=bool(info["more"]))
            item.loaded += 1
        item.total, item.asked = int(reply["total"]), False
        if item.loaded < item.total:
            text = Text(f"… {count(item.total - item.loaded)} more, enter loads them", "italic")
            node.add(text, Item(item.path, rest=True), allow_expand=False)

    def child(self, node: XdrNode, number: int) -> XdrNode | None:
        """The loaded child of that number."""
        if number < len(node.children):
            found = node.children[number]
            if found.data is not None and not found.data.rest:
                return found
        return None

    def want(self, node: XdrNode) -> None:
        """Ask for the next children of ``node``, once."""
        item = node.data
        if item is not None and not item.asked and not (item.loaded and item.loaded >= item.total):
            item.asked = True
            self.post_message(self.Wanted(node, item.loaded))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Item]) -> None:
        event.stop()
        if event.node.data is not None and not event.node.data.loaded:
            self.want(event.node)

    def on_tree_node_selected(self, event: Tree.NodeSelected[Item]) -> None:
        event.stop()
        if event.node.data is not None and event.node.data.rest and event.node.parent is not None:
            self.want(event.node.parent)

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Item]) -> None:
        event.stop()
        if event.node.data is not None:
            self.post_message(self.Pointed(event.node.data))

    def action_open(self) -> None:
        node = self.cursor_node
        if node is not None and node.allow_expand and not node.is_expanded:
            node.expand()
        else:
            self.action_cursor_down()

    def action_shut(self) -> None:
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)

    def render_label(self, node: XdrNode, base_style: Style, style: Style) -> Text:
        shown = super().render_label(node, base_style, style)
        shown.no_wrap = True
        return shown


def label(info: Mapping[str, Any]) -> Text:
    """Name, value, and for what can be opened its type and size; all literal."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append_text(plain(info["name"], "bold" if info["more"] else "dim"))
    if info["value"]:
        text.append("  ")
        text.append_text(plain(info["value"], limit=_VALUE))
    if info["more"]:
        kind = str(info["type"])
        many = (
            kind.removeprefix("list[").removesuffix("]") + "<>" if kind.startswith("list[") else ""
        )
        text.append(f"  {safe_text(many or kind)}  {count(info['bytes'])} B", "dim")
    return text


def hex_lines(data: bytes, offset: int = 0, width: int = 16) -> Sequence[str]:
    """``offset  hex  text`` lines of ``width`` bytes; anything but printable ASCII is a dot."""
    found = []
    for begin in range(0, len(data), width):
        piece = data[begin : begin + width]
        groups = " ".join(piece[i : i + 4].hex() for i in range(0, len(piece), 4))
        letters = "".join(chr(b) if 32 <= b < 127 else "." for b in piece)
        room = width * 2 + width // 4 - 1
        found.append(f"{offset + begin:06x}  {groups:<{room}}  {letters}")
    return found
