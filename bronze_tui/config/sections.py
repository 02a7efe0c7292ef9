"""Sections of the configuration: keys, types, defaults, ranges and what each means.

These models are the one source for loading, the environment table, the JSON schema and the
documentation; rules that span keys are in ``check``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from bronze_tui.config import values
from bronze_tui.domain.ledger import MAX_LEDGER


@dataclass(frozen=True, slots=True)
class Key:
    """Where a key comes from: the Go copier's variable, and how we differ from it."""

    env: str = ""
    ours: bool = False
    differs: str = ""


OURS = Key(ours=True)
IGNORED_THERE = Key(differs="read and then ignored there")

Whole = Annotated[int, BeforeValidator(values.whole)]
Switch = Annotated[bool, BeforeValidator(values.switch)]
Bytes = Annotated[int, BeforeValidator(values.byte_size)]
Seconds = Annotated[float, BeforeValidator(values.seconds)]
LedgerNumber = Annotated[Whole, Field(ge=0, le=MAX_LEDGER)]
Name = Annotated[str, AfterValidator(values.name)]
PathText = Annotated[str, AfterValidator(values.path)]
Address = Annotated[str, AfterValidator(values.address)]
Bucket = Annotated[str, AfterValidator(values.bucket)]
WebAddress = Annotated[str, AfterValidator(values.web_address)]
EndpointAddress = Annotated[str, AfterValidator(values.endpoint)]


class Section(BaseModel):
    """Frozen, without unknown keys, and silent about its input in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class EraSettings(Section):
    """The ledgers to copy, and the names they are published under."""

    era_id: Annotated[Name, Key(env="ERA_ID")] = Field(
        default="pre_p23", description="Name of the era; part of every path."
    )
    version_label: Annotated[Name, Key(env="VERSION_LABEL")] = Field(
        default="v1", description="Version of the dataset; part of every path."
    )
    network: Annotated[Name, Key(env="NETWORK")] = Field(
        default="pubnet", description="Name of the network; part of every path."
    )
    ledger_start: Annotated[
        LedgerNumber, Key(env="LEDGER_START", differs="absent in a file means 0 there")
    ] = Field(
        default=1, description="First ledger. Partitions are counted from it; no lake holds 1."
    )
    ledger_end: Annotated[
        LedgerNumber, Key(env="LEDGER_END", differs="with several workers 0 copies nothing there")
    ] = Field(
        default=0, description="Last ledger, included; 0 means no end: follow the newest ledger."
    )
    partition_size: Annotated[
        Whole,
        Field(ge=1, le=10_000_000),
        Key(env="PARTITION_SIZE", differs="counted from where a run starts there"),
    ] = Field(default=10_000, description="Ledgers in one partition.")
    allow_overwrite: Annotated[
        Switch, Key(env="ALLOW_OVERWRITE", differs="replaces event files there")
    ] = Field(default=False, description="Accepted and ignored: partitions are immutable.")


class EraEntry(EraSettings):
    """One era of the list: name, network and first ledger have no default here."""

    era_id: Name = Field(description="Name of the era; part of every path.")
    network: Name = Field(description="Name of the network; part of every path.")
    ledger_start: LedgerNumber = Field(
        description="First ledger; above the last ledger of the era before."
    )
    ledger_end: LedgerNumber = Field(
        default=0, description="Last ledger, included; 0 (no end) only for a network's last era."
    )


class SourceSettings(Section):
    """Where ledgers are read from."""

    mode: Annotated[Name, Key(env="SOURCE_MODE")] = Field(
        default="local",
        description="datastore, local, gcs, s3, or the name of a source that a plugin offers.",
    )
    url: Annotated[Address, OURS] = Field(
        default="",
        description="Address of the lake: a folder, file://, s3://, gs://, az:// or https://. "
        "Takes precedence over the keys below.",
    )
    local_path: Annotated[PathText, Key(env="SOURCE_LOCAL_PATH")] = Field(
        default="", description="Folder of the lake, for mode local."
    )
    gcs_bucket: Annotated[Bucket, Key(env="SOURCE_GCS_BUCKET")] = Field(
        default="", description="Bucket, for mode gcs."
    )
    gcs_prefix: Annotated[str, Key(env="SOURCE_GCS_PREFIX")] = Field(
        default="", description="Folder in the bucket, for mode gcs."
    )
    s3_bucket: Annotated[Bucket, Key(env="SOURCE_S3_BUCKET")] = Field(
        default="", description="Bucket, for mode s3."
    )
    s3_prefix: Annotated[str, Key(env="SOURCE_S3_PREFIX")] = Field(
        default="", description="Folder in the bucket, for mode s3."
    )
    s3_endpoint: Annotated[
        WebAddress, Key(env="SOURCE_S3_ENDPOINT", differs="always fails there")
    ] = Field(default="", description="S3 server, for B2, R2, MinIO and others.")
    s3_region: Annotated[str, Key(env="SOURCE_S3_REGION")] = Field(
        default="", description="S3 region."
    )
    datastore_type: Annotated[str, Key(env="SOURCE_DATASTORE_TYPE")] = Field(
        default="", description="GCS, S3 or Filesystem, for mode datastore."
    )
    datastore_path: Annotated[
        str, Key(env="SOURCE_DATASTORE_PATH", differs="type S3 always fails there")
    ] = Field(
        default="",
        description="Bucket and folder, for mode datastore; an address or an absolute path is "
        "taken as it is, without datastore_type.",
    )
    region: Annotated[str, OURS] = Field(
        default="", description="Region; s3_region under one name."
    )
    endpoint: Annotated[WebAddress, OURS] = Field(
        default="", description="Server of the object store; s3_endpoint under one name."
    )
    path_style: Annotated[Switch | None, OURS] = Field(
        default=None,
        description="Bucket in the path instead of the host name; by default with endpoint.",
    )
    anonymous: Annotated[Switch, OURS] = Field(
        default=False, description="Read a public bucket without credentials."
    )
    requester_pays: Annotated[Switch, OURS] = Field(
        default=False, description="Agree to pay for requests to the bucket."
    )
    ledgers_per_file: Annotated[Whole | None, Field(ge=1, le=1_000_000), OURS] = Field(
        default=None, description="Ledgers in one object, where the lake has no .config.json."
    )
    files_per_partition: Annotated[Whole | None, Field(ge=1, le=100_000_000), OURS] = Field(
        default=None, description="Objects in one folder, where the lake has no .config.json."
    )
    network_passphrase: Annotated[str, OURS] = Field(
        default="", description="When given, the lake's .config.json must say the same."
    )
    max_ledger_bytes: Annotated[Bytes, Field(ge=1, le=2**31 - 1), OURS] = Field(
        default=256 << 20,
        description="Largest ledger accepted, uncompressed: the guard against bombs.",
    )
    poll_interval: Annotated[Seconds, Field(gt=0, le=86_400), OURS] = Field(
        default=5.0, description="Seconds between looks for new ledgers at the tip."
    )
    timeout: Annotated[Seconds, Field(ge=0.1, le=3600), OURS] = Field(
        default=60.0,
        description="Seconds that a request to a remote source may take; then it is made again.",
    )
    options: Annotated[dict[str, str], OURS] = Field(
        default_factory=dict, description="Settings of a source that a plugin offers."
    )


class StorageSettings(Section):
    """Where Bronze is written."""

    backend: Annotated[Name, Key(env="STORAGE_BACKEND")] = Field(
        default="local", description="local, gcs, s3, or the name of a store that a plugin offers."
    )
    url: Annotated[Address, OURS] = Field(
        default="",
        description="Address of the store: a folder, file://, s3://, gs:// or az://. "
        "Takes precedence over the keys below.",
    )
    local_dir: Annotated[
        PathText,
        Key(env="STORAGE_LOCAL_DIR", differs="absent in a file is an error there"),
    ] = Field(default="./data", description="Output folder, for backend local.")
    gcs_bucket: Annotated[Bucket, Key(env="STORAGE_GCS_BUCKET")] = Field(
        default="", description="Bucket, for backend gcs."
    )
    s3_bucket: Annotated[Bucket, Key(env="STORAGE_S3_BUCKET")] = Field(
        default="", description="Bucket, for backend s3."
    )
    s3_endpoint: Annotated[
        WebAddress, Key(env="STORAGE_S3_ENDPOINT", differs="always fails there")
    ] = Field(default="", description="S3 server, for B2, R2, MinIO and others.")
    s3_region: Annotated[str, Key(env="STORAGE_S3_REGION")] = Field(
        default="", description="S3 region."
    )
    region: Annotated[str, OURS] = Field(
        default="", description="Region; s3_region under one name."
    )
    endpoint: Annotated[WebAddress, OURS] = Field(
        default="", description="Server of the object store; s3_endpoint under one name."
    )
    path_style: Annotated[Switch | None, OURS] = Field(
        default=None,
        description="Bucket in the path instead of the host name; by default with endpoint.",
    )
    anonymous: Annotated[Switch, OURS] = Field(
        default=False, description="Write without credentials."
    )
    prefix: Annotated[
        str,
        AfterValidator(values.key_prefix),
        Key(env="STORAGE_PREFIX", differs="a final slash is added where it lacks"),
    ] = Field(default="bronze/", description="Folder below the store's root; / for none.")
    timeout: Annotated[Seconds, Field(ge=0.1, le=3600), OURS] = Field(
        default=120.0,
        description="Seconds that a request to a remote store may take, uploads of whole files too;"
        " then it is made again.",
    )
    options: Annotated[dict[str, str], OURS] = Field(
        default_factory=dict, description="Settings of a store that a plugin offers."
    )


class CatalogSettings(Section):
    """The database of lineage, audit chain and outbox."""

    postgres_dsn: Annotated[
        SecretStr,
        AfterValidator(lambda secret: SecretStr(values.dsn(secret.get_secret_value()))),
        Key(env="CATALOG_DSN", differs="empty means the embedded SQLite catalog, not none"),
    ] = Field(
        default=SecretStr(""),
        description="PostgreSQL connection of the catalog; empty: SQLite in catalog.path.",
    )
    path: Annotated[PathText, OURS] = Field(
        default="", description="SQLite file; by default catalog.sqlite in checkpoint.dir."
    )
    namespace: Annotated[
        str, Key(env="CATALOG_NAMESPACE", differs="absent in a file means empty there")
    ] = Field(
        default="mainnet", description="Namespace of the metadata tables; kept, unused as there."
    )
    strict: Annotated[
        Switch, Key(env="CATALOG_STRICT", differs="a catalog dead at the start is ignored there")
    ] = Field(
        default=False,
        description="End when PostgreSQL is away for max_outage; else wait as long as it takes.",
    )
    timeout: Annotated[Seconds, Field(ge=0.1, le=90), OURS] = Field(
        default=30.0,
        description="Seconds that PostgreSQL may say nothing before the session is given up and"
        " made again; only migrations at which it works may take longer.",
    )
    max_outage: Annotated[Seconds, Field(gt=0, le=86_400), OURS] = Field(
        default=60.0,
        description="Seconds without PostgreSQL after which a strict run, or one that ends, gives"
        " up.",
    )


class PasSettings(Section):
    """The public audit stream."""

    enabled: Annotated[Switch, Key(env="PAS_ENABLED")] = Field(
        default=False, description="Write an event file for each partition."
    )
    endpoint: Annotated[
        EndpointAddress,
        Key(
            env="PAS_ENDPOINT",
            differs="redirects and proxies are followed there, any address is allowed",
        ),
    ] = Field(
        default="",
        description="Address to post events to, beside filing them: https, or http on this "
        "machine; empty: they are filed only.",
    )
    backup_dir: Annotated[PathText, Key(env="PAS_BACKUP_DIR")] = Field(
        default="./pas-backup", description="Folder of the event files."
    )
    strict: Annotated[
        Switch, Key(env="PAS_STRICT", differs="a folder unusable at the start is ignored there")
    ] = Field(default=False, description="Failures to file or deliver an event stop the run.")
    token: Annotated[
        SecretStr,
        AfterValidator(lambda secret: SecretStr(values.bearer_token(secret.get_secret_value()))),
        Key(env="PAS_TOKEN", ours=True),
    ] = Field(
        default=SecretStr(""),
        description="Sent to the endpoint as a bearer token; better ${NAME} than the token itself.",
    )
    allow_private: Annotated[Switch, OURS] = Field(
        default=False,
        description="Let the endpoint be in a private network, also without TLS.",
    )
    max_outbox: Annotated[Whole, Field(ge=1, le=1_000_000), OURS] = Field(
        default=100,
        description="With strict: events that may wait for delivery before copying waits for them.",
    )
    options: Annotated[dict[str, str], OURS] = Field(
        default_factory=dict, description="Settings of an emitter that a plugin offers."
    )


class CheckpointSettings(Section):
    """State on this machine."""

    enabled: Annotated[
        Switch, Key(env="CHECKPOINT_ENABLED", differs="absent in a file means false there")
    ] = Field(default=True, description="Write checkpoint files.")
    dir: Annotated[PathText, Key(env="CHECKPOINT_DIR")] = Field(
        default="./state",
        description="Folder of checkpoints, SQLite catalog, journal and staged files.",
    )


class PerfSettings(Section):
    """How fast, how much memory, and what happens after failures."""

    max_in_flight_partitions: Annotated[
        Whole,
        Field(ge=0, le=1024),
        AfterValidator(lambda count: count or 4),
        Key(env="MAX_IN_FLIGHT_PARTITIONS", differs="from the environment it runs one worker"),
    ] = Field(default=4, description="Partitions started and not yet committed; 0: 4.")
    workers: Annotated[
        Whole,
        Field(ge=0, le=1024),
        Key(differs="0 means max_in_flight_partitions there"),
    ] = Field(
        default=0, description="Partitions built at the same time; 0: chosen for this machine."
    )
    queue_size: Annotated[Whole, Field(ge=0, le=100_000), Key()] = Field(
        default=0, description="Partitions waiting for a worker; 0: twice the workers."
    )
    retry_attempts: Annotated[
        Whole, Field(ge=0, le=1000), AfterValidator(lambda count: count or 3), Key()
    ] = Field(default=3, description="How often a partition is tried in all; 0: 3.")
    retry_backoff_ms: Annotated[
        Whole, Field(ge=0, le=3_600_000), AfterValidator(lambda pause: pause or 1000), Key()
    ] = Field(default=1000, description="Milliseconds before the second attempt; 0: 1000.")
    memory_budget: Annotated[Bytes, Field(ge=1, le=1 << 50), OURS] = Field(
        default=256 << 20, description="Source bytes read ahead by all workers together."
    )
    on_failure: Annotated[Literal["halt", "skip"], OURS] = Field(
        default="halt",
        description="After the last attempt: halt the run there, or skip: declare a hole.",
    )
    fetchers: Annotated[Whole, Field(ge=0, le=1024), OURS] = Field(
        default=0,
        description="Objects read at the same time; 0: found while the run goes on.",
    )
    max_requests_per_second: Annotated[Whole, Field(ge=0, le=1_000_000), OURS] = Field(
        default=0, description="Requests to a remote source and store together; 0: no limit."
    )
    fetchers_max: Annotated[Whole, Field(ge=1, le=1024), OURS] = Field(
        default=128, description="The most that fetchers: 0 may find."
    )

    def fetchers_most(self) -> int:
        """Objects read at the same time at most."""
        return self.fetchers or self.fetchers_max


def _level(value: object) -> object:
    word = values.lower(value)
    return "warn" if word == "warning" else word


class LoggingSettings(Section):
    """What is logged, and how."""

    format: Annotated[
        Literal["text", "json"], BeforeValidator(values.lower), Key(env="LOG_FORMAT")
    ] = Field(default="text", description="text or json.")
    level: Annotated[
        Literal["debug", "info", "warn", "error"],
        BeforeValidator(_level),
        Key(env="LOG_LEVEL", differs="another word means info there"),
    ] = Field(default="info", description="debug, info, warn or error.")


class MetricsSettings(Section):
    """Prometheus metrics."""

    enabled: Annotated[Switch, Key(env="METRICS_ENABLED")] = Field(
        default=False, description="Serve metrics over HTTP."
    )
    address: Annotated[str, AfterValidator(values.listen_address), Key(env="METRICS_ADDRESS")] = (
        Field(
            default=":9090", description="host:port to listen on; without a host on all interfaces."
        )
    )


class BronzeSettings(Section):
    """The tables and their files."""

    primary_table: Annotated[
        Literal["ledgers_lcm_raw"],
        Key(env="BRONZE_PRIMARY_TABLE", differs="another name breaks lineage there"),
    ] = Field(default="ledgers_lcm_raw", description="The only primary table there is.")
    compression: Annotated[str, AfterValidator(values.compression), OURS] = Field(
        default="zstd:3", description="zstd:1 to zstd:22, zstd, snappy or none."
    )
    ingested_at: Annotated[Literal["", "now"], OURS] = Field(
        default="",
        description="Empty: null, so that files are reproducible; now: the time of the build.",
    )


class PluginSettings(Section):
    """Plugins that are not part of this distribution."""

    allow: Annotated[tuple[str, ...], OURS] = Field(
        default=(), description="Plugins that may load although no other key names them."
    )
    disable: Annotated[tuple[str, ...], OURS] = Field(
        default=(), description="Plugins that must not load."
    )
    required: Annotated[tuple[str, ...], OURS] = Field(
        default=(), description="Plugins whose failure ends the run (exit 4)."
    )
