"""Keys and region of an AWS profile, as the AWS command line keeps them in ``~/.aws``.

obstore itself knows the environment, web identities and the metadata services of containers and
machines, and no profiles. Only static keys are read here: a profile that has to ask somebody for
its keys (SSO, a role, a process) is refused with the way around it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path

from bronze_tui.domain.errors import ConfigError

_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_ASKING = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")
_GIVEN = ("access_key_id", "aws_access_key_id", "skip_signature")


def s3_credentials(
    config: Mapping[str, object], env: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Settings of an obstore S3 client that the AWS profile adds to ``config``.

    Nothing when the configuration or the environment has keys, when access is anonymous, or when
    there is no profile. A region that is already known is kept.

    Raises:
        ConfigError: AWS_PROFILE names no profile, or one without static keys.
    """
    found: dict[str, str] = {}
    named = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
    name = named or "default"
    profile = _profile(name, env)
    if named and not profile:
        raise ConfigError([f"AWS_PROFILE: there is no profile {name!r} in {_folder(env)}"])
    if not any(config.get(key) for key in _GIVEN) and "AWS_ACCESS_KEY_ID" not in env:
        found |= {ours: profile[theirs] for theirs, ours in _NAMES.items() if theirs in profile}
        asking = next((key for key in _ASKING if key in profile), None)
        if named and "access_key_id" not in found and asking:
            raise ConfigError(
                [
                    f"AWS_PROFILE: profile {name!r} gets its keys by {asking}, which is not "
                    'supported; run eval "$(aws configure export-credentials --format env)" '
                    "first, or use mode or backend fsspec"
                ]
            )
    regions = ("AWS_REGION", "AWS_DEFAULT_REGION")
    if not config.get("region") and not any(key in env for key in regions) and "region" in profile:
        found["region"] = profile["region"]
    return found


def _profile(name: str, env: Mapping[str, str]) -> dict[str, str]:
    """The profile's lines of both files; keys of the credentials file win, as with AWS."""
    folder = _folder(env)
    section = name if name == "default" else f"profile {name}"
    config = _section(Path(env.get("AWS_CONFIG_FILE") or folder / "config"), section)
    path = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials")
    return config | _section(path, name)


def _section(path: Path, name: str) -> dict[str, str]:
    parser = RawConfigParser(default_section="", strict=False)
    try:
        parser.read(path.expanduser(), encoding="utf-8")
    except (Error, UnicodeDecodeError):
        # The message would show lines of the file, which may be keys.
        raise ConfigError([f"{path}: this is no AWS configuration file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    return dict(parser[name]) if parser.has_section(name) else {}


def _folder(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or "~").expanduser() / ".aws"
