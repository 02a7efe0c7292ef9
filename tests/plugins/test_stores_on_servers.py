"""The stores on real servers: S3 (SeaweedFS), GCS (fake-gcs-server), Azure (Azurite)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from servers.azurite import ACCOUNT, AzuriteServer
from servers.gcs import FakeGcsServer
from servers.process import wait_until
from servers.seaweed import PUBLIC, REGION, SeaweedServer

from bronze_store_object import open_object
from bronze_store_object.google import GoogleClient
from bronze_tui.domain.errors import (
    ConfigError,
    LockedError,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
)
from bronze_tui.hooks.contracts import Store, StoreOptions
from bronze_tui.hooks.metering import RequestMeter
from bronze_tui.testing.store_contract import KEY, StoreContract, staged

POISON = b"before\n--==0==--\nafter" * 40
"""Ends a multipart upload whose boundary is the fixed ``==0==`` of some clients."""


def s3_options(server: SeaweedServer, url: str, staging: Path, **changes: Any) -> StoreOptions:
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    keys |= changes.pop("keys", {})
    settings: dict[str, Any] = {"region": REGION, "endpoint": server.endpoint} | changes
    extra = tuple(sorted(keys.items()))
    return StoreOptions("s3", url, staging, extra=extra, **settings)


def gcs_options(server: FakeGcsServer, url: str, staging: Path, **changes: Any) -> StoreOptions:
    return StoreOptions("gcs", url, staging, endpoint=server.endpoint, anonymous=True, **changes)


def azure_options(server: AzuriteServer, url: str, staging: Path) -> StoreOptions:
    extra = (("account_key", server.key), ("account_name", ACCOUNT))
    return StoreOptions("object", url, staging, endpoint=server.endpoint, extra=extra)


class TestS3(StoreContract):
    racers = 5

    @pytest.fixture
    def store(self, seaweed: SeaweedServer, s3_folder: str, tmp_path: Path) -> Store:
        return open_object(s3_options(seaweed, f"s3://{s3_folder}", tmp_path / "staging"))


class TestGcs(StoreContract):
    @pytest.fixture
    def store(self, fake_gcs: FakeGcsServer, gcs_bucket: str, tmp_path: Path) -> Store:
        return open_object(gcs_options(fake_gcs, f"gs://{gcs_bucket}/lake", tmp_path / "staging"))


class TestAzure(StoreContract):
    @pytest.fixture
    def store(self, azurite: AzuriteServer, azure_container: str, tmp_path: Path) -> Store:
        url = f"az://{azure_container}/lake"
        return open_object(azure_options(azurite, url, tmp_path / "staging"))


class TestS3Answers:
    """What only a real S3 server shows."""

    @pytest.fixture
    def opened(
        self, seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path
    ) -> Callable[..., Store]:
        def opened(bucket: str = s3_bucket, **changes: Any) -> Store:
            return open_object(s3_options(seaweed, f"s3://{bucket}", tmp_path, **changes))

        return opened

    def test_one_put_is_one_request_and_proven_by_its_tag(
        self, seaweed: SeaweedServer, s3_bucket: str, opened: Callable[..., Store]
    ) -> None:
        meter = RequestMeter()
        store = opened(meter=meter)
        store.create(KEY, b"ledgers" * 1000)
        counts = store.counters()  # type: ignore[attr-defined]
        assert (counts.requests, counts.bytes_out, counts.retries) == ({"put": 1}, 7000, 0)
        assert counts == meter.counts()
        head = seaweed.client.head_object(Bucket=s3_bucket, Key=KEY)
        assert head["Metadata"]["sha256"] == sha256(b"ledgers" * 1000).hexdigest()

    def test_taken_name_with_the_same_bytes_costs_a_put_and_a_get(
        self, opened: Callable[..., Store]
    ) -> None:
        opened().create(KEY, b"x")
        meter = RequestMeter()
        assert opened(meter=meter).create(KEY, b"x") == "same"
        assert meter.counts().requests == {"put": 1, "get": 1}

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"keys": {"secret_access_key": "wrong"}}, "access refused .HTTP 403.*credentials"),
            ({"keys": {"access_key_id": "nobody"}}, "access refused .HTTP 403.*credentials"),
            ({"bucket": "no-such-bucket"}, "no such bucket.*make it"),
        ],
    )
    def test_causes_are_named(
        self, opened: Callable[..., Store], changes: dict[str, Any], words: str
    ) -> None:
        store = opened(**changes)
        with pytest.raises(StoreRefused, match=words):
            store.create(KEY, b"x")
        with pytest.raises(StoreRefused, match=words.partition(".*")[0]):
            store.lock("ds/_lock.json", "x")

    def test_reader_may_read_and_not_write(
        self, seaweed: SeaweedServer, opened: Callable[..., Store]
    ) -> None:
        opened().create(KEY, b"x")
        store = opened(keys={"access_key_id": seaweed.reader_key})
        assert store.get(KEY) == b"x"
        with pytest.raises(StoreRefused, match="right to write"):
            store.create("other", b"x")

    def test_anonymous_reads_a_public_bucket(
        self, seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seaweed.client.put_object(Bucket=PUBLIC, Key="a", Body=b"x")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
        options = StoreOptions(
            "s3",
            f"s3://{PUBLIC}",
            tmp_path,
            region=REGION,
            endpoint=seaweed.endpoint,
            anonymous=True,
        )
        store = open_object(options)
        assert store.get("a") == b"x"
        with pytest.raises(StoreRefused, match="access refused"):
            store.create("b", b"x")

    @pytest.mark.parametrize("where", ["environment", "profile file"])
    def test_keys_from_the_usual_places(
        self,
        where: str,
        seaweed: SeaweedServer,
        s3_bucket: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        if where == "environment":
            for name, value in seaweed.environment.items():
                monkeypatch.setenv(name, value)
        else:
            file = tmp_path / "credentials"
            file.write_text(
                f"[lake]\naws_access_key_id = {seaweed.access_key}\n"
                f"aws_secret_access_key = {seaweed.secret_key}\nregion = {REGION}\n"
            )
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
            monkeypatch.setenv("AWS_PROFILE", "lake")
        url = f"s3://{s3_bucket}"
        store = open_object(StoreOptions("s3", url, tmp_path, endpoint=seaweed.endpoint))
        assert store.create(KEY, b"x") == "created"


def test_killed_server_is_waited_for(own_seaweed: SeaweedServer, tmp_path: Path) -> None:
    store = open_object(s3_options(own_seaweed, f"s3://{own_seaweed.make_bucket()}", tmp_path))
    store.create("before", b"x")
    own_seaweed.kill()
    with pytest.raises(StoreUnavailable):
        store.create(KEY, b"ledgers")
    meter = RequestMeter()
    store = open_object(s3_options(own_seaweed, store.uri("x")[:-2], tmp_path, meter=meter))
    outcome: list[str] = []
    writer = threading.Thread(target=lambda: outcome.append(store.create(KEY, b"ledgers")))
    own_seaweed.start()
    own_seaweed.process.suspend()
    writer.start()
    wait_until(lambda: meter.counts().total > 0, "the first request is sent")
    own_seaweed.process.resume()
    writer.join(60)
    assert outcome in (["created"], ["same"])
    assert store.get("before") == b"x"
    assert store.get(KEY) == b"ledgers"


class TestGcsAnswers:
    """What only a GCS server shows."""

    @pytest.fixture
    def store(self, fake_gcs: FakeGcsServer, gcs_bucket: str, tmp_path: Path) -> Store:
        return open_object(gcs_options(fake_gcs, f"gs://{gcs_bucket}/lake", tmp_path))

    def test_poison_that_ends_a_fixed_boundary_arrives_whole(
        self, store: Store, fake_gcs: FakeGcsServer, gcs_bucket: str
    ) -> None:
        assert store.create(KEY, POISON) == "created"
        assert store.create("staged", staged(store, POISON)) == "created"
        for key in (KEY, "staged"):
            assert fake_gcs.get(gcs_bucket, f"lake/{key}") == POISON
        store.replace(KEY, POISON[:-1])
        assert fake_gcs.get(gcs_bucket, f"lake/{KEY}") == POISON[:-1]

    def test_one_put_is_one_request_and_proven_by_its_checksum(
        self, fake_gcs: FakeGcsServer, gcs_bucket: str, tmp_path: Path
    ) -> None:
        meter = RequestMeter()
        store = open_object(gcs_options(fake_gcs, f"gs://{gcs_bucket}", tmp_path, meter=meter))
        store.create(KEY, b"ledgers")
        assert meter.counts().requests == {"put": 1}

    def test_bytes_that_the_server_changed_are_noticed(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = GoogleClient.put

        def damaging(self: GoogleClient, key: str, body: Any, *rest: Any) -> Any:
            return real(self, key, b"X" + bytes(body)[1:], *rest)

        def unproven(self: GoogleClient, *args: Any) -> Any:
            from dataclasses import replace

            return replace(damaging(self, *args), proven=False)

        monkeypatch.setattr(GoogleClient, "put", unproven)
        with pytest.raises(StoreRefused, match="other bytes than sent"):
            store.create(KEY, b"ledgers")

    def test_absent_bucket_is_named(self, fake_gcs: FakeGcsServer, tmp_path: Path) -> None:
        store = open_object(gcs_options(fake_gcs, "gs://no-such-bucket", tmp_path))
        with pytest.raises(StoreRefused, match="no such bucket"):
            store.create(KEY, b"x")

    def test_dead_server_is_unavailable(self, tmp_path: Path, store: Store) -> None:
        dead = open_object(
            StoreOptions("gcs", "gs://b", tmp_path, endpoint="http://127.0.0.1:9", anonymous=True)
        )
        with pytest.raises(StoreUnavailable, match="no answer"):
            dead.get(KEY)

    def test_settings_are_checked(self, fake_gcs: FakeGcsServer, tmp_path: Path) -> None:
        options = gcs_options(fake_gcs, "gs://b", tmp_path, extra=(("colour", "red"),))
        with pytest.raises(ConfigError, match=r"knows project, user_project, not colour"):
            open_object(options)

    def test_no_credentials_say_what_to_set(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ConfigError, match="GOOGLE_APPLICATION_CREDENTIALS"):
            open_object(StoreOptions("gcs", "gs://b", tmp_path))


def test_azure_wrong_key_is_refused(
    azurite: AzuriteServer, azure_container: str, tmp_path: Path
) -> None:
    extra = (("account_key", "d3Jvbmc="), ("account_name", ACCOUNT))
    url = f"az://{azure_container}"
    store = open_object(
        StoreOptions("object", url, tmp_path, endpoint=azurite.endpoint, extra=extra)
    )
    with pytest.raises(StoreRefused, match="access refused"):
        store.create(KEY, b"x")


def test_two_copiers_on_one_bucket(seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path) -> None:
    one, two = (
        open_object(s3_options(seaweed, f"s3://{s3_bucket}", tmp_path / name)) for name in "12"
    )
    lock = one.lock("ds/_lock.json", "copier-one")
    with pytest.raises(LockedError, match="copier-one"):
        two.lock("ds/_lock.json", "copier-two")
    one.create(KEY, b"ours")
    with pytest.raises(StoreConflict):
        two.create(KEY, b"theirs")
    lock.release()


def test_a_refused_delete_is_a_refusal(
    seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says it inside of an answer with status 200; it was taken for a server that is away."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.reader_key)
    url = f"s3://{seaweed.common_bucket}"
    store = open_object(StoreOptions("s3", url, tmp_path, endpoint=seaweed.endpoint))
    with pytest.raises(StoreRefused, match="access refused"):
        store.delete("bronze/none")
