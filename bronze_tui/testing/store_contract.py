"""What every store must do, as pytest methods: subclass, give a ``store`` fixture, pass.

The fixture yields an open, empty :class:`bronze_tui.hooks.contracts.Store`. What only a disk or a
server can show (power cuts, lost answers) is each store's own tests' matter.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bronze_tui.domain.errors import LockedError, StoreConflict, StoreRefused
from bronze_tui.hooks.contracts import Store, StoreLock

T = TypeVar("T")

KEY = "bronze/testnet/e1/v1/ledgers_lcm_raw/range=1-2/part-1-2.parquet"
HOSTILE = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "../outside",
    "a/../../outside",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "a\\b",
    "a\nb",
    "a/" + "x" * 256,
    "\ud800",
)


def staged(store: Store, data: bytes, name: str = "part.parquet") -> Path:
    """A finished file with these bytes at a staged path."""
    path = store.stage(name)
    path.write_bytes(data)
    return path


def together(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run all jobs in threads that start at the same moment; their results in order."""
    barrier = threading.Barrier(len(jobs))

    def start(job: Callable[[], T]) -> T:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(start, jobs))


class StoreContract:
    """Inherit and define ``store``; every method here is one promise of the contract."""

    racers = 16
    """Writers that meet at one key; fewer where a server makes them queue for seconds."""

    def test_created_object_reads_back(self, store: Store) -> None:
        assert store.create(KEY, b"ledgers") == "created"
        assert store.get(KEY) == b"ledgers"

    def test_same_bytes_again_are_same(self, store: Store) -> None:
        store.create(KEY, b"ledgers")
        assert store.create(KEY, b"ledgers") == "same"
        assert store.create(KEY, staged(store, b"ledgers")) == "same"

    @pytest.mark.parametrize("other", [b"ledgerz", b"ledger", b"ledgers+", b""])
    def test_other_bytes_are_a_conflict_that_changes_nothing(
        self, store: Store, other: bytes
    ) -> None:
        store.create(KEY, b"ledgers")
        with pytest.raises(StoreConflict) as caught:
            store.create(KEY, other)
        assert hashlib.sha256(b"ledgers").hexdigest() in str(caught.value)
        assert hashlib.sha256(other).hexdigest() in str(caught.value)
        assert store.get(KEY) == b"ledgers"

    def test_staged_path_is_fresh_and_consumed(self, store: Store) -> None:
        first, second = store.stage("part.parquet"), store.stage("part.parquet")
        assert first != second
        assert not first.exists()
        first.write_bytes(b"ledgers")
        assert store.create(KEY, first) == "created"
        assert not first.exists()
        assert store.get(KEY) == b"ledgers"

    def test_conflict_keeps_the_staged_file(self, store: Store) -> None:
        store.create(KEY, b"ledgers")
        path = staged(store, b"other")
        with pytest.raises(StoreConflict):
            store.create(KEY, path)
        assert path.read_bytes() == b"other"
        store.replace(KEY, path)
        assert not path.exists()
        assert store.get(KEY) == b"other"

    def test_staged_names_cannot_leave_the_folder(self, store: Store) -> None:
        for name in ("../x", "a/b", "", "..", "a\0b"):
            with pytest.raises(StoreRefused):
                store.stage(name)

    def test_race_for_one_key_has_one_winner(self, store: Store) -> None:
        def job(data: bytes) -> Callable[[], tuple[str, bytes]]:
            def run() -> tuple[str, bytes]:
                try:
                    return store.create(KEY, data), data
                except StoreConflict:
                    return "conflict", data

            return run

        datas = [b"even" * 50_000 if n % 2 else b"odd!" * 50_000 for n in range(self.racers)]
        results = together([job(data) for data in datas])
        winners = [data for outcome, data in results if outcome == "created"]
        assert len(winners) == 1
        assert store.get(KEY) == winners[0]
        for outcome, data in results:
            assert outcome in ({"created", "same"} if data == winners[0] else {"conflict"})

    def test_race_of_staged_files_has_one_winner(self, store: Store) -> None:
        paths = [staged(store, b"same" * 10_000) for _ in range(self.racers)]
        results = together([partial(store.create, KEY, path) for path in paths])
        assert sorted(results) == ["created"] + ["same"] * (self.racers - 1)
        assert not any(path.exists() for path in paths)

    def test_replace_makes_and_overwrites(self, store: Store) -> None:
        store.replace(KEY, b"first")
        store.replace(KEY, b"second")
        assert store.get(KEY) == b"second"
        store.create("other", b"immutable")
        store.replace("other", staged(store, b"orphan"))
        assert store.get("other") == b"orphan"

    def test_replace_is_whole_for_readers(self, store: Store) -> None:
        versions = {bytes([n]) * 200_000 for n in range(2)}
        store.replace(KEY, next(iter(versions)))
        done = threading.Event()

        def write() -> int:
            for n in range(10):
                store.replace(KEY, bytes([n % 2]) * 200_000)
            done.set()
            return 0

        def read() -> int:
            torn = 0
            while not done.is_set():
                torn += store.get(KEY) not in versions
            return torn

        assert together([write, read, read]) == [0, 0, 0]

    def test_get_range(self, store: Store) -> None:
        store.create(KEY, b"0123456789")
        assert store.get_range(KEY, 0, 10) == b"0123456789"
        assert store.get_range(KEY, 3, 4) == b"3456"
        assert store.get_range(KEY, 8, 10) == b"89"
        assert store.get_range(KEY, 10, 1) == b""
        assert store.get_range(KEY, 99, 1) == b""
        assert store.get_range(KEY, 4, 0) == b""
        for start, length in ((-1, 2), (0, -1)):
            with pytest.raises(ValueError, match="counted from 0"):
                store.get_range(KEY, start, length)

    def test_absent_objects(self, store: Store) -> None:
        store.create("a/b", b"x")
        for key in ("nothing", "a", "a/b/c", "a/bc"):
            assert store.head(key) is None
            for length in (0, 1):
                with pytest.raises(FileNotFoundError):
                    store.get_range(key, 0, length)
            with pytest.raises(FileNotFoundError):
                store.get(key)

    def test_empty_object(self, store: Store) -> None:
        assert store.create(KEY, b"") == "created"
        assert store.create(KEY, staged(store, b"")) == "same"
        assert store.get(KEY) == b""
        assert store.get_range(KEY, 0, 5) == b""
        found = store.head(KEY)
        assert found is not None
        assert (found.key, found.size) == (KEY, 0)

    def test_large_object(self, store: Store) -> None:
        block = hashlib.sha512(b"large").digest()
        data = block * (20 * 1024 * 1024 // len(block))
        assert store.create(KEY, staged(store, data)) == "created"
        found = store.head(KEY)
        assert found is not None
        assert found.size == len(data)
        assert store.get(KEY) == data
        assert store.get_range(KEY, len(data) - 64, 100) == block
        assert store.create(KEY, data) == "same"

    def test_list_is_in_key_order_below_the_folder(self, store: Store) -> None:
        keys = ["p/a", "p/a-b", "p/a/1", "p/a/10", "p/a/2", "p/a0", "p/b/c/d", "pq/x", "z"]
        keys.remove("p/a")
        for size, key in enumerate(keys):
            store.create(key, b"x" * size)
        below = [(found.key, found.size) for found in store.list("p/")]
        assert below == [(key, keys.index(key)) for key in sorted(keys) if key.startswith("p/")]
        assert [found.key for found in store.list("p/a/")] == ["p/a/1", "p/a/10", "p/a/2"]
        assert [found.key for found in store.list("")] == sorted(keys)
        assert list(store.list("absent/")) == []
        with pytest.raises(StoreRefused):
            list(store.list("p"))

    def test_list_leaves_staged_files_out(self, store: Store) -> None:
        path = staged(store, b"half")
        store.create(KEY, b"whole")
        assert [found.key for found in store.list("")] == [KEY]
        path.unlink()

    def test_delete_is_idempotent(self, store: Store) -> None:
        store.create(KEY, b"x")
        store.delete(KEY)
        store.delete(KEY)
        assert store.head(KEY) is None
        assert store.create(KEY, b"y") == "created"

    @pytest.mark.parametrize("key", HOSTILE)
    def test_hostile_keys_are_refused(self, store: Store, key: str) -> None:
        uses: list[Callable[[], object]] = [
            lambda: store.create(key, b"x"),
            lambda: store.replace(key, b"x"),
            lambda: store.get(key),
            lambda: store.get_range(key, 0, 1),
            lambda: store.head(key),
            lambda: store.delete(key),
            lambda: store.uri(key),
            lambda: store.local_path(key),
            lambda: store.lock(key, "tester"),
        ]
        for use in uses:
            with pytest.raises(StoreRefused):
                use()
        for prefix in ("/", "../", "a/../", "a//", "a\0/"):
            with pytest.raises(StoreRefused):
                list(store.list(prefix))
        assert list(store.list("")) == []

    def test_uri_names_the_object(self, store: Store) -> None:
        uri = store.uri(KEY)
        assert "://" in uri
        assert uri.endswith(f"/{KEY}")

    def test_local_path_reads_like_get(self, store: Store) -> None:
        store.create(KEY, b"ledgers")
        path = store.local_path(KEY)
        assert path is None or path.read_bytes() == b"ledgers"

    def test_lock_excludes_and_names_its_owner(self, store: Store) -> None:
        lock = store.lock("ds/_lock.json", "copier-one")
        lock.heartbeat()
        with pytest.raises(LockedError, match="copier-one"):
            store.lock("ds/_lock.json", "copier-two")
        store.lock("other/_lock.json", "copier-two").release()
        lock.release()
        lock.release()
        again = store.lock("ds/_lock.json", "copier-two")
        again.heartbeat()
        with pytest.raises(LockedError, match="copier-two"):
            store.lock("ds/_lock.json", "copier-one")
        with pytest.raises(LockedError):
            lock.heartbeat()
        again.release()

    def test_race_for_the_lock_has_one_winner(self, store: Store) -> None:
        def take() -> StoreLock | None:
            try:
                return store.lock("ds/_lock.json", "racer")
            except LockedError:
                return None

        held = [lock for lock in together([take] * self.racers) if lock is not None]
        for lock in held:
            lock.release()
        assert len(held) == 1

    def test_clean_spares_the_living(self, store: Store) -> None:
        path = staged(store, b"being built")
        assert store.clean() == 0
        assert store.create(KEY, path) == "created"

    def test_close_is_idempotent(self, store: Store) -> None:
        store.close()
        store.close()
