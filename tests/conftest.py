"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from servers.fixtures import (  # noqa: F401
    azure_container,
    azurite,
    fake_gcs,
    gcs_bucket,
    own_seaweed,
    s3_bucket,
    s3_folder,
    seaweed,
    web,
)

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real ledgers and real output of the Go copier, where the machine has them."""
    path = Path(os.environ.get("BRONZE_SHARED", REPO.parent / "shared"))
    if not (path / "lake" / "pubnet").is_dir():
        pytest.skip(f"no sample ledgers at {path}: set BRONZE_SHARED to a folder that has them")
    return path
