"""Keys of an AWS profile: what wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bronze_tui.domain.errors import ConfigError
from bronze_tui.remote.aws_profile import s3_credentials

CREDENTIALS = """
[default]
aws_access_key_id = DK
aws_secret_access_key = DS

[work]
aws_access_key_id = WK
aws_secret_access_key = W=S
aws_session_token = WT
"""
CONFIG = """
[default]
region = eu-west-1

[profile work]
region = us-east-2

[profile sso]
sso_start_url = https://x
sso_account_id = 1
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    (tmp_path / ".aws/config").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_the_default_profile_is_read(home: dict[str, str]) -> None:
    found = s3_credentials({}, home)
    assert found == {"access_key_id": "DK", "secret_access_key": "DS", "region": "eu-west-1"}


def test_a_named_profile_is_read_whole(home: dict[str, str]) -> None:
    assert s3_credentials({}, home | {"AWS_PROFILE": "work"}) == {
        "access_key_id": "WK",
        "secret_access_key": "W=S",
        "session_token": "WT",
        "region": "us-east-2",
    }


def test_files_may_be_elsewhere(home: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("[default]\naws_access_key_id = OK\naws_secret_access_key = OS\n")
    found = s3_credentials({}, home | {"AWS_SHARED_CREDENTIALS_FILE": str(other)})
    assert found["access_key_id"] == "OK"


@pytest.mark.parametrize(
    ("config", "env"),
    [
        ({"access_key_id": "X"}, {}),
        ({"aws_access_key_id": "X"}, {}),
        ({"skip_signature": True}, {}),
        ({}, {"AWS_ACCESS_KEY_ID": "X"}),
    ],
)
def test_keys_that_were_given_win(
    home: dict[str, str], config: dict[str, object], env: dict[str, str]
) -> None:
    assert s3_credentials(config, home | env) == {"region": "eu-west-1"}


@pytest.mark.parametrize(("config", "env"), [({"region": "r"}, {}), ({}, {"AWS_REGION": "r"})])
def test_a_region_that_was_given_wins(
    home: dict[str, str], config: dict[str, object], env: dict[str, str]
) -> None:
    assert "region" not in s3_credentials(config, home | env)


def test_no_files_are_no_profile(tmp_path: Path) -> None:
    assert s3_credentials({}, {"HOME": str(tmp_path)}) == {}


def test_a_profile_that_must_ask_is_refused_with_a_way_around(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"'sso' gets its keys by sso_start_url.*export-cred"):
        s3_credentials({}, home | {"AWS_PROFILE": "sso"})
    keys = {"AWS_PROFILE": "sso", "AWS_ACCESS_KEY_ID": "X"}
    assert s3_credentials({}, home | keys) == {}


def test_an_absent_profile_is_refused(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no profile 'nobody'"):
        s3_credentials({}, home | {"AWS_PROFILE": "nobody"})


def test_a_broken_file_shows_none_of_its_lines(home: dict[str, str]) -> None:
    path = Path(home["HOME"]) / ".aws/credentials"
    path.write_text("secret line without section\n")
    with pytest.raises(ConfigError) as caught:
        s3_credentials({}, home)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)
