"""Real servers on loopback for tests: S3 (SeaweedFS), GCS (fake-gcs-server), Azure (Azurite), HTTP,
PostgreSQL; each in a folder of its own, ended by its process id.

The fixtures are in :mod:`servers.fixtures` and :mod:`servers.postgres`. A server whose package is
not installed skips its tests with a reason.
"""
