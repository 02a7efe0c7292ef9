"""Single values: what text they take, and that refusals do not repeat it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.config import values


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("10000", 10_000), ("10_000", 10_000), ("0x10", 16), ("0o17", 15), ("-3", -3)],
)
def test_whole_numbers(text: str, number: int) -> None:
    assert values.whole(text) == number


@pytest.mark.parametrize(
    "text", ["", "010", "1e6", "1.5", " 1", "1 ", "ten", "٣", "9" * 5000, "1__0", True]
)
def test_not_whole_numbers(text: object) -> None:
    with pytest.raises(ValueError, match="write digits"):
        values.whole(text)


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "Y"])
def test_true(text: str) -> None:
    assert values.switch(text) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "n"])
def test_false(text: str) -> None:
    assert values.switch(text) is False


@pytest.mark.parametrize("text", ["1", "0", "ja", "truth", ""])
def test_neither_true_nor_false(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        values.switch(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("268435456", 268_435_456),
        ("256MiB", 256 << 20),
        ("1GiB", 1 << 30),
        ("64MB", 64_000_000),
        ("64 mb", 64_000_000),
        ("10_000", 10_000),
        ("8b", 8),
        ("2TiB", 2 << 40),
        ("3KB", 3000),
    ],
)
def test_byte_sizes(text: str, size: int) -> None:
    assert values.byte_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1.5GiB", "-1", "1G", "5 parsecs", "9" * 50, "１MB"])
def test_not_byte_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        values.byte_size(text)


@given(st.integers(0, 2**60))
def test_numbers_and_sizes_round_trip(number: int) -> None:
    assert values.whole(str(number)) == values.whole(f"{number:_}") == number
    assert values.byte_size(f"{number}KiB") == number * 1024
    assert values.byte_size(number) == number


@pytest.mark.parametrize(("text", "number"), [("5", 5.0), ("0.25", 0.25)])
def test_seconds(text: str, number: float) -> None:
    assert values.seconds(text) == number


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "5s", "1e3"])
def test_not_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="not a number of seconds"):
        values.seconds(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("bronze/", "bronze/"),
        ("bronze", "bronze/"),
        ("/", ""),
        ("./a//b", "a/b/"),
        ("network=pubnet/x", "network=pubnet/x/"),
    ],
)
def test_prefixes_end_with_a_slash(text: str, prefix: str) -> None:
    assert values.key_prefix(text) == prefix


@pytest.mark.parametrize("text", ["..", "a/../b", "a b", "a\\b", "é"])
def test_unsafe_prefixes(text: str) -> None:
    with pytest.raises(ValueError, match="no safe folder name"):
        values.key_prefix(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [("zstd", "zstd:3"), ("zstd:1", "zstd:1"), ("zstd:22", "zstd:22"), ("snappy", "snappy")],
)
def test_compressions(text: str, result: str) -> None:
    assert values.compression(text) == result


@pytest.mark.parametrize("text", ["zstd:0", "zstd:23", "zstd:", "gzip", "ZSTD", "zstd:03"])
def test_not_compressions(text: str) -> None:
    with pytest.raises(ValueError, match="no compression"):
        values.compression(text)


@pytest.mark.parametrize("text", [":9090", "127.0.0.1:0", "localhost:65535", "[::1]:80"])
def test_listen_addresses(text: str) -> None:
    assert values.listen_address(text) == text


@pytest.mark.parametrize("text", ["9090", "a:b", ":65536", "::1:80", ":"])
def test_not_listen_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        values.listen_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "./a", "/a", "s3://b/p", "gs://b", "az://c/x", "https://h/x", "file:///a", "x+y://z"],
)
def test_addresses(text: str) -> None:
    assert values.address(text) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("s3://key:hush@bucket/p", "credentials"),
        ("s3://hush@bucket/p", "credentials"),
        ("https://h/x?token=hush", "query"),
        ("file://hush/x", "absolute file URL"),
        ("s3:///hush", "no bucket"),
        ("https://h:hush/", "not a valid URL"),
        ("~/hush", "begins with ~"),
    ],
)
def test_bad_addresses_are_refused_without_repeating_them(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        values.address(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["ftp://h/x", "h/x", "https://", "https://u:p@h/", "http://h:x/"])
def test_bad_web_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=";"):
        values.web_address(text)


@pytest.mark.parametrize("text", ["gs://b", "b/c", "-b", "b c", "é"])
def test_bad_buckets(text: str) -> None:
    with pytest.raises(ValueError, match="not a bucket name"):
        values.bucket(text)


@pytest.mark.parametrize(
    "text", ["", "postgres://u:p@h/d", "postgresql://h/d", "host=h password=x", " dbname = d"]
)
def test_connection_strings(text: str) -> None:
    assert values.dsn(text) == text


@pytest.mark.parametrize("text", ["hush", "mysql://hush@h/d", "***"])
def test_not_connection_strings(text: str) -> None:
    with pytest.raises(ValueError, match="no PostgreSQL") as caught:
        values.dsn(text)
    assert "hush" not in str(caught.value)
