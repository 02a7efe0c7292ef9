"""The test servers themselves: data survives a crash of the S3 server, each is our own."""

from __future__ import annotations

import urllib.request
from urllib.error import HTTPError

import pytest
from servers.azurite import AzuriteServer
from servers.gcs import FakeGcsServer
from servers.seaweed import SeaweedServer
from servers.web import WebServer


def test_s3_objects_survive_a_killed_server(own_seaweed: SeaweedServer) -> None:
    bucket = own_seaweed.make_bucket()
    for n in range(20):
        own_seaweed.client.put_object(Bucket=bucket, Key=f"k{n}", Body=f"data {n}".encode())
    before, pid = own_seaweed.objects(bucket), own_seaweed.process.pid
    own_seaweed.kill()
    with pytest.raises(OSError):
        urllib.request.urlopen(own_seaweed.endpoint, timeout=60)
    own_seaweed.start()
    assert own_seaweed.process.pid != pid
    assert own_seaweed.objects(bucket) == before
    assert len(before) == 20


def test_gcs_server_keeps_what_it_is_given(fake_gcs: FakeGcsServer, gcs_bucket: str) -> None:
    fake_gcs.put(gcs_bucket, "a/b", b"x")
    assert fake_gcs.keys(gcs_bucket) == ["a/b"]
    assert fake_gcs.get(gcs_bucket, "a/b") == b"x"


def test_azure_server_checks_signatures(azurite: AzuriteServer, azure_container: str) -> None:
    azurite.put(azure_container, "a/b", b"x")
    with pytest.raises(HTTPError, match="403"):
        urllib.request.urlopen(f"{azurite.endpoint}/{azure_container}/a/b", timeout=60)


def test_web_server_serves_files_and_lists_nothing(web: WebServer) -> None:
    (web.folder / "a").write_bytes(b"x")
    web.refuse["/b"] = 503
    assert urllib.request.urlopen(f"{web.url}/a", timeout=60).read() == b"x"
    for path, status in (("", "404"), ("b", "503"), ("c", "404")):
        with pytest.raises(HTTPError, match=status):
            urllib.request.urlopen(f"{web.url}/{path}", timeout=60)
    assert web.asked == ["/a", "/", "/b", "/c"]
