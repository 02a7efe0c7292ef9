"""Loading, isolation, switches and quarantine of plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bronze_tui.domain.errors import Exit, PluginError, UsageError
from bronze_tui.domain.events import Alert, PartitionCommitted
from bronze_tui.hooks.discovery import list_plugins
from bronze_tui.hooks.manager import PluginHost, load_plugins
from bronze_tui.hooks.records import PluginRecord

Install = Callable[..., Path]

HEAD = """
from bronze_tui.hooks import hookimpl
bronze_hook_api = 1
"""
GOOD = (
    HEAD
    + """
seen = []

@hookimpl
def bronze_register_sources(register):
    register("acme", lambda options: ("source", options), summary="made of nothing")

@hookimpl
def bronze_partition_committed(event):
    seen.append(event)
"""
)
BROKEN = {
    "noimport": "import a_module_that_is_not_there\n",
    "oldapi": "from bronze_tui.hooks import hookimpl\nbronze_hook_api = 99\n",
    "wrongarg": HEAD + "@hookimpl\ndef bronze_run_started(event, mood): pass\n",
    "typo": HEAD + "@hookimpl\ndef bronze_partition_comitted(event): pass\n",
    "raises": HEAD + "@hookimpl\ndef bronze_partition_committed(event): raise RuntimeError('x')\n",
}
EVENT = PartitionCommitted(
    chain_key="testnet/e/v1",
    partition="2-3",
    rows=2,
    checksum="sha256:00",
    parquet_bytes=10,
    last_ledger=3,
    seconds=0.1,
    recovered=False,
)


def record_of(host: PluginHost, name: str) -> PluginRecord:
    return next(r for r in host.records if r.name == name)


def test_third_party_plugin_is_listed_without_being_imported(install: Install) -> None:
    install("good", GOOD)
    host = load_plugins()
    record = record_of(host, "good")
    assert (record.status, record.hooks, record.builtin) == ("listed", (), False)
    assert (record.distribution, record.version) == ("acme-good", "1.2")
    assert "acme_good_good" not in sys.modules
    assert "good" in [r.name for r in list_plugins()]
    assert "acme_good_good" not in sys.modules


@pytest.mark.parametrize("switch", ["allow", "needed", "required"])
def test_a_named_plugin_is_loaded(install: Install, switch: str) -> None:
    install("good", GOOD)
    host = load_plugins(**{switch: ["good"]})  # type: ignore[arg-type]
    record = record_of(host, "good")
    assert record.status == "active"
    assert record.hooks == ("bronze_partition_committed", "bronze_register_sources")
    assert record.offers == ("source:acme",)
    assert record.load_ms > 0
    assert host.source("acme")(7) == ("source", 7)
    host.notify("bronze_partition_committed", EVENT)
    assert sys.modules["acme_good_good"].seen == [EVENT]


def test_five_broken_plugins_are_records_and_the_good_one_works(install: Install) -> None:
    for name, code in BROKEN.items():
        install(name, code)
    install("good", GOOD)
    alerts: list[Alert] = []
    host = load_plugins(allow=[*BROKEN, "good"], alert=alerts.append)
    for _ in range(4):
        host.notify("bronze_partition_committed", EVENT)
    stages = {r.name: (r.status, r.stage) for r in host.records if r.name in BROKEN}
    assert stages == {
        "noimport": ("failed", "import"),
        "oldapi": ("failed", "version"),
        "wrongarg": ("failed", "register"),
        "typo": ("failed", "pending"),
        "raises": ("quarantined", "call"),
    }
    assert "a_module_that_is_not_there" in record_of(host, "noimport").error
    assert "99" in record_of(host, "oldapi").error
    assert "mood" in record_of(host, "wrongarg").error
    assert "did you mean 'bronze_partition_committed'" in record_of(host, "typo").error
    assert "RuntimeError: x" in record_of(host, "raises").traceback
    assert len(sys.modules["acme_good_good"].seen) == 4
    told = [a for a in alerts if any(f"'{name}'" in a.message for name in BROKEN)]
    assert [a.level for a in told] == ["warn"] * 6 + ["error"]


def test_quarantine_needs_three_in_a_row_and_ends_the_calls(install: Install) -> None:
    install(
        "moody",
        HEAD + "calls = []\n@hookimpl\ndef bronze_partition_committed(event):\n"
        "    calls.append(1)\n    if len(calls) != 3: raise ValueError('no')\n",
    )
    host = load_plugins(allow=["moody"])
    for expected in ("active",) * 5 + ("quarantined",) * 2:
        host.notify("bronze_partition_committed", EVENT)
        assert record_of(host, "moody").status == expected
    assert len(sys.modules["acme_moody_moody"].calls) == 6
    figures = next(f for f in host.figures if f.plugin == "moody")
    assert (figures.calls, figures.errors, figures.in_a_row) == (6, 5, 3)


def test_required_plugin_in_quarantine_ends_the_run_after_all_were_called(install: Install) -> None:
    install("raises", BROKEN["raises"])
    install("good", GOOD)
    host = load_plugins(required=["raises"], allow=["good"])
    host.notify("bronze_partition_committed", EVENT)
    host.notify("bronze_partition_committed", EVENT)
    with pytest.raises(PluginError, match="3 times in a row") as caught:
        host.notify("bronze_partition_committed", EVENT)
    assert caught.value.exit_code == Exit.PLUGIN
    assert len(sys.modules["acme_good_good"].seen) == 3


@pytest.mark.parametrize("name", ["noimport", "absent"])
def test_required_plugin_that_is_not_active_is_an_error(install: Install, name: str) -> None:
    install("noimport", BROKEN["noimport"])
    with pytest.raises(PluginError, match=name):
        load_plugins(required=[name])


def test_strict_makes_any_failure_an_error(install: Install) -> None:
    install("oldapi", BROKEN["oldapi"])
    with pytest.raises(PluginError, match="failed at version"):
        load_plugins(allow=["oldapi"], strict=True)


def test_a_failed_plugin_that_is_named_as_source_gives_exit_4(install: Install) -> None:
    install("noimport", BROKEN["noimport"])
    host = load_plugins(needed={"noimport"})
    with pytest.raises(PluginError, match="failed at import") as caught:
        host.source("noimport")
    assert caught.value.exit_code == Exit.PLUGIN


def test_an_unknown_name_gets_a_suggestion(install: Install) -> None:
    install("good", GOOD)
    host = load_plugins(allow=["good"], disable=[])
    with pytest.raises(UsageError, match="did you mean 'acme'"):
        host.source("acm")


def test_a_name_offered_twice_fails_the_second_plugin(install: Install) -> None:
    install("a", GOOD)
    install(
        "b",
        GOOD + "\n@hookimpl\ndef bronze_register_stores(register):\n"
        "    register('only-b', lambda o: o)\n",
    )
    host = load_plugins(allow=["a", "b"])
    record = record_of(host, "b")
    assert (record.status, record.stage) == ("failed", "call")
    assert "already offered by plugin 'a'" in record.error
    assert "only-b" not in host.names("store")
    assert host.source("acme")(1) == ("source", 1)


def test_a_taken_plugin_name_is_refused(install: Install) -> None:
    install("lake", GOOD, distribution="evil-lake")
    records = [r for r in load_plugins(allow=["lake"]).records if r.name == "lake"]
    assert [(r.distribution, r.stage) for r in records if not r.builtin] == [("evil-lake", "name")]
    assert any(r.builtin for r in records)
    assert "evil_lake_lake" not in sys.modules


@pytest.mark.parametrize(
    ("variable", "status"),
    [
        ("good", "disabled"),
        ("other", "active"),
        ("all", "disabled"),
        ("1", "disabled"),
        ("x, good", "disabled"),
        ("", "active"),
    ],
)
def test_disable_variable(install: Install, variable: str, status: str) -> None:
    install("good", GOOD)
    host = load_plugins(allow=["good"], env={"BRONZE_DISABLE_PLUGINS": variable})
    assert record_of(host, "good").status == status
    assert ("acme_good_good" in sys.modules) == (status == "active")


def test_switched_off_plugins_are_disabled_and_say_so(install: Install) -> None:
    install("good", GOOD)
    host = load_plugins(allow=["good"], third_party=False, disable=["file"])
    assert record_of(host, "good").status == "disabled"
    assert record_of(host, "file").status == "disabled"
    with pytest.raises(PluginError, match="switched off"):
        host.source("good")


@pytest.mark.parametrize(
    ("code", "stage"),
    [
        (HEAD, "register"),
        (HEAD + "import sys\nsys.exit(3)\n", "import"),
        (
            HEAD + "@hookimpl(hookwrapper=True)\ndef bronze_run_started(event):\n    yield\n",
            "register",
        ),
        (
            HEAD
            + "@hookimpl\ndef bronze_register_sources(register):\n    register('../x', print)\n",
            "call",
        ),
        (
            HEAD + "@hookimpl\ndef bronze_register_sources(register):\n    register('x', 7)\n",
            "call",
        ),
        (HEAD + "@hookimpl\ndef bronze_register_sources(register):\n    1 / 0\n", "call"),
        ("this is not python", "import"),
    ],
)
def test_other_ways_to_be_broken(install: Install, code: str, stage: str) -> None:
    install("bad", code)
    record = record_of(load_plugins(allow=["bad"]), "bad")
    assert (record.status, record.stage) == ("failed", stage)
    assert record.error
    assert record.traceback


def test_connecting_alerts_later_tells_of_failed_plugins(install: Install) -> None:
    install("oldapi", BROKEN["oldapi"])
    host = load_plugins(allow=["oldapi"])
    alerts: list[Alert] = []
    host.connect(alerts.append)
    assert any("oldapi" in a.message for a in alerts)


def test_record_has_a_json_form(install: Install, tmp_path: Path) -> None:
    install("good", GOOD)
    doc = record_of(load_plugins(allow=["good"]), "good").to_json()
    assert {"name", "distribution", "version", "status", "hooks", "load_ms", "error"} <= set(doc)


@pytest.mark.parametrize(
    "hook",
    [
        "bronze_run_started",
        "bronze_partition_committed",
        "bronze_partition_failed",
        "bronze_event_linked",
        "bronze_run_finished",
    ],
)
def test_each_notification_reaches_its_plugin(install: Install, hook: str) -> None:
    install("ear", HEAD + f"heard = []\n@hookimpl\ndef {hook}(event): heard.append(event)\n")
    load_plugins(allow=["ear"]).notify(hook, EVENT)
    assert sys.modules["acme_ear_ear"].heard == [EVENT]


@pytest.mark.parametrize("kind", ["source", "store", "emitter", "command"])
def test_each_registration_offers_its_kind(install: Install, kind: str) -> None:
    install(
        "maker",
        HEAD + f"@hookimpl\ndef bronze_register_{kind}s(register):\n"
        "    register('made', lambda options: options)\n",
    )
    host = load_plugins(allow=["maker"])
    assert "made" in host.names(kind)
    assert getattr(host, kind)("made")(7) == 7
