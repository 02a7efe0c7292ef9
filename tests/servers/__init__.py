"""Real servers on loopback for tests: S3 (SeaweedFS), GCS (fake-gcs-server), Azure (Azurite), HTTP.

The fixtures are in :mod:`servers.fixtures`. A server whose package is not installed skips its
tests with a reason.
"""
