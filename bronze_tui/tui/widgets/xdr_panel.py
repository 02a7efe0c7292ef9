"""One ledger's XDR: the tree, opened node by node, and the bytes of the node under the cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.text import safe_text
from bronze_tui.inspect.client import InspectClient
from bronze_tui.tui.widgets.figures import count, line, part, put, stack, title
from bronze_tui.tui.widgets.xdr_tree import PAGE, Item, XdrNode, XdrTree, hex_lines

DUMP = 4_096
"""Bytes shown of a node."""

Key = tuple[str, int]
"""Chain key and ledger."""


class HexView(VerticalScroll):
    """Bytes of one node, its full value and hash above them."""

    DEFAULT_CSS = """
    HexView { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; }
    HexView > #hex { height: auto; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="hex-panel", classes="panel")

    def compose(self) -> ComposeResult:
        yield Static(id="hex", markup=False)

    def show_dump(self, name: str, value: str, reply: Mapping[str, Any]) -> None:
        """``reply`` is the reader's: total bytes, offset, hex and SHA-256 of all of it."""
        data = bytes.fromhex(reply["hex"])
        width = 16 if self.content_size.width >= 62 else 8
        whole = int(reply["bytes"])
        about = f"{count(whole)} bytes"
        if len(data) < whole:
            about = f"first {count(len(data))} of {about}"
        title(self, f"BYTES  {name}", about)
        rows = [part(value, limit=4_000)] if value else []
        if self.content_size.width >= 71:
            rows += [line(("sha256 ", "muted"), part(reply["sha256"], "accent")), line("")]
        rows += [_dump_line(text) for text in hex_lines(data, int(reply["offset"]), width)]
        put(self.query_one("#hex", Static), stack(rows))


def _dump_line(text: str) -> Content:
    offset, _, rest = text.partition("  ")
    return line((offset, "muted"), f"  {rest}")


class XdrPanel(Horizontal):
    """Tree and bytes; asks the reading process for both."""

    DEFAULT_CSS = """
    XdrPanel { height: 1fr; }
    XdrPanel #tree-panel { width: 1fr; height: 1fr; }
    XdrPanel #tree-error { display: none; height: auto; max-height: 8; }
    XdrPanel.-undecodable #tree-error { display: block; }
    XdrPanel.-undecodable #xdr { display: none; }
    XdrPanel #hex-panel { display: none; }
    XdrPanel.-undecodable #hex-panel { display: block; }
    XdrPanel.-undecodable { layout: vertical; }
    XdrPanel.-undecodable #tree-panel { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__(id="deep")
        self._client: InspectClient | None = None
        self._shown: Key | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="tree-panel", classes="panel"):
            yield Static(id="tree-error", markup=False)
            yield XdrTree()
        yield HexView()

    def on_mount(self) -> None:
        title(self.query_one("#tree-panel"), "XDR")
        title(self.query_one(HexView), "BYTES")

    @property
    def _tree(self) -> XdrTree:
        return self.query_one(XdrTree)

    async def open(self, client: InspectClient, key: Key, reveal: Sequence[int]) -> None:
        """Show a ledger, its tree opened down to ``reveal``; bytes alone where it cannot be
        decoded."""
        self._client, self._shown = client, key
        tree = self._tree
        try:
            top = await client.ask("node", chain_key=key[0], sequence=key[1], path=[])
        except BronzeError as error:
            if self._shown == key:
                await self._refused(key, error)
            return
        if self._shown != key:
            return
        self.remove_class("-undecodable")
        tree.begin(top)
        version = top["self"]["value"]
        title(self.query_one("#tree-panel"), f"XDR  LedgerCloseMeta {version}")
        await self._reveal(key, reveal or (0,), select=bool(reveal))
        await self._dump(key, tree.chosen)

    async def _refused(self, key: Key, error: BronzeError) -> None:
        self._tree.empty()
        self.add_class("-undecodable")
        put(self.query_one("#tree-error", Static), part(str(error), "bad"))
        title(self.query_one("#tree-panel"), "XDR cannot be decoded")
        await self._dump(key, None)

    def redraw_bytes(self) -> None:
        """The bytes came into sight."""
        self._dump_chosen()

    async def text(self) -> tuple[str, str] | None:
        """The node under the cursor for copying, and its name; None without one."""
        item, key = self._tree.chosen, self._shown
        if key is None or item is None or item.rest:
            return None
        reply = await self._ask("text", chain_key=key[0], sequence=key[1], path=list(item.path))
        return None if reply is None else (str(reply["text"]), safe_text(str(item.info["name"])))

    async def base64(self) -> tuple[str, str] | None:
        """XDR of the node under the cursor, or of the ledger, and how much it is."""
        item, key = self._tree.chosen, self._shown
        if key is None:
            return None
        path = list(item.path) if item is not None and not item.rest else None
        reply = await self._ask("base64", chain_key=key[0], sequence=key[1], path=path)
        return (
            None if reply is None else (str(reply["text"]), f"{count(reply['bytes'])} bytes of XDR")
        )

    async def _reveal(self, key: Key, path: Sequence[int], *, select: bool) -> None:
        """Open the tree down to ``path``."""
        tree = self._tree
        node: XdrNode = tree.root
        for number in path:
            while tree.child(node, number) is None and await self._more(key, node):
                pass
            below = tree.child(node, number)
            if below is None:
                return
            node = below
            if node.allow_expand:
                if node.data is not None and not node.data.loaded:
                    await self._more(key, node)
                node.expand()
        if select:
            self.call_after_refresh(tree.move_cursor, node)

    async def _more(self, key: Key, node: XdrNode) -> bool:
        """Load the next children of ``node``; false when there are none or the read fails."""
        item = node.data
        if item is None or (item.loaded and item.loaded >= item.total):
            return False
        reply = await self._ask(
            "node",
            chain_key=key[0],
            sequence=key[1],
            path=list(item.path),
            offset=item.loaded,
            limit=PAGE,
        )
        if reply is None or self._shown != key or not reply["children"]:
            item.asked = False
            return False
        self._tree.put(node, reply)
        return True

    async def _dump(self, key: Key, item: Item | None) -> None:
        """Bytes of a node, or of the whole ledger, where they are in sight."""
        view = self.query_one(HexView)
        if item is not None and not view.display:
            return
        path = list(item.path) if item is not None else None
        reply = await self._ask(
            "dump", chain_key=key[0], sequence=key[1], path=path, offset=0, limit=DUMP
        )
        if reply is not None and self._shown == key:
            info = item.info if item is not None else {}
            name = f"{info.get('name', 'ledger')} {info.get('type', '')}"
            view.show_dump(name.strip(), str(info.get("value", "")), reply)

    @work(exclusive=True, group="dump", exit_on_error=False)
    async def _dump_chosen(self) -> None:
        if self._shown is not None:
            await self._dump(self._shown, self._tree.chosen)

    @on(XdrTree.Pointed)
    def _pointed(self) -> None:
        if self.query_one(HexView).display:
            self._dump_chosen()

    @on(XdrTree.Wanted)
    @work(group="nodes", exit_on_error=False)
    async def _wanted(self, message: XdrTree.Wanted) -> None:
        if self._shown is not None:
            await self._more(self._shown, message.node)

    async def _ask(self, op: str, **args: Any) -> Any:
        """The answer; None after a refusal, which is told."""
        if self._client is None:
            return None
        try:
            return await self._client.ask(op, **args)
        except BronzeError as error:
            self.app.notify(safe_text(str(error))[:300], severity="error", markup=False)
            return None
