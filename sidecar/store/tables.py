"""The tables, as SQLModel classes; statements use what is behind them, `JOB` and the others, with SQLAlchemy Core.

Owns the schema and nothing else. Times are seconds since the epoch (UTC) as floats; JSON columns hold text written by
orjson. A job that is pending or dead is a row of `job` with a row of `delivery` for each destination, a job that has
ended is one more in `tally`, and all change in the same transaction. Whoever changes a table raises `SCHEMA`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, UniqueConstraint, text
from sqlmodel import Field, SQLModel

SCHEMA = 3
"""Which schema the tables below are. There is no way from an older one: `store.database` refuses it."""


def _index(name: str, *columns: str, where: str) -> Index:
    """An index of the rows that meet `where`: a statement finds it that says the same, in the same literals."""
    return Index(name, *columns, sqlite_where=text(where))


class PolicyRow(SQLModel):
    """A policy as written, by its app and id; `body` is its JSON in the contract's shape."""

    user_id: str = Field(primary_key=True)
    app_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    body: str
    managed_by: str = Field(index=True)
    origin: str = ""
    created_at: float = Field(index=True)


class CollectorRow(PolicyRow, table=True):
    __tablename__ = "collector"


class WorkflowRow(PolicyRow, table=True):
    __tablename__ = "workflow"


class ConceptRelationRow(SQLModel, table=True):
    """A relation of an app's own knowledge graph, as it was written: `subject` `predicate` `other`."""

    __tablename__ = "concept_relation"

    user_id: str = Field(primary_key=True)
    app_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    """A hash of what it says: the same said from the other end has the same id."""
    subject: str
    predicate: str
    other: str
    created_at: float


class SecretRow(SQLModel, table=True):
    """A secret, encrypted; `id` is the reference that is shown instead."""

    __tablename__ = "secret"

    id: str = Field(primary_key=True)
    ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: float


class ApiKeyRow(SQLModel, table=True):
    """A key of the admin API: its token's hash, never the token."""

    __tablename__ = "api_key"

    id: str = Field(primary_key=True)
    name: str
    scopes: str
    """Names, separated by commas."""
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """SHA-256 of the whole token, which is random."""
    created_at: float
    created_by: str
    rotated_at: float | None = None


class AuditRow(SQLModel, table=True):
    """Something that was changed or happened, see `audit`."""

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given twice: pages go by it

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(index=True)
    who: str
    kind: str
    subject: str
    collector: str = ""
    before: str = "null"
    """JSON."""
    after: str = "null"
    """JSON."""


class SchemaRow(SQLModel, table=True):
    """Which of our schemas the database has: one row."""

    __tablename__ = "schema_version"

    version: int = Field(primary_key=True)


class JobRow(SQLModel, table=True):
    """One input for one collector, pending or dead: what it is. It is written once, and once more where a workflow gave
    something; how it stands is in its rows of `delivery`. What has ended is counted in `tally` and gone from here."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("exchange_id", "input_index", "collector", name="one_job_per_input_and_collector"),
        {"sqlite_autoincrement": True},  # an id is never given twice: a settlement that comes late hits no other job
    )

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: str
    """32 hexadecimal digits."""
    input_index: int
    collector: str
    """The collector's key in the ledger."""
    caller: str
    model: str
    version: str
    created_at: float
    split_into: str = ""
    """The names of the destinations that get a row each once its workflow has run; blank where they have theirs."""
    details: str = "{}"
    """JSON: what was known when the input was kept (sampling rate, HTTP status, latency), and what the nodes of the
    pre-queue workflow made of it."""
    trace: str = ""
    """JSON: what the nodes of the post-queue workflow made of it; written with `result`."""
    result: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """What the post-queue workflow gave, once it has run: it never runs twice for one job."""
    output: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """The model's output for this input: JSON of `data.to_wire`; null when it sent none."""
    input: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """The original input: JSON of `data.to_wire`."""


class DeliveryRow(SQLModel, table=True):
    """How a job stands with one of its destinations: small, as each lease and each retry writes it anew."""

    __tablename__ = "delivery"
    __table_args__ = (
        Index("delivery_due", "state", "collector", "destination", "retry_at", "job_id"),
        _index("delivery_lease", "leased_until", where="state = 'leased'"),
        _index("delivery_alone", "collector", "state", "reason", where="siblings = 0"),
        _index("delivery_shared", "job_id", "collector", "state", "reason", where="siblings > 0"),
        {"sqlite_with_rowid": False},
    )

    job_id: int = Field(sa_column=Column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True))
    destination: str = Field(primary_key=True)
    """Its name in the collector."""
    collector: str
    siblings: int
    """How many other destinations the job has."""
    state: str
    queued_at: float
    """When it was queued, or put back by hand: what the limit on retrying counts from."""
    retry_at: float
    attempts: int = 0
    """Leases since `queued_at`."""
    voids: int = 0
    """How many engines in a row have died while they had it leased."""
    leased_by: str = ""
    leased_until: float = 0.0
    reason: str = ""
    """Why it waits, is dead or was let go: a name that is counted."""
    detail: str = ""
    """The same in words, for a person."""
    settled_at: float = 0.0
    """When its last lease came to an end."""
    tries: str = ""
    """Those that failed, see `queue.tries`; they stay when it is put back by hand."""


class EndedJobRow(SQLModel, table=True):
    """What a job of several destinations had come to with each of them when it ended: the newest few thousand."""

    __tablename__ = "ended_job"
    __table_args__ = (
        Index("ended_job_named", "exchange_id", "input_index", "collector"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: str
    input_index: int
    collector: str
    ended_at: float
    destinations: str
    """JSON, see `queue.ended`."""


class TallyRow(SQLModel, table=True):
    """The durable half of the ledger: how many jobs of a collector have ended this way."""

    __tablename__ = "tally"

    collector: str = Field(primary_key=True)
    verdict: str = Field(primary_key=True)
    """`matched`, `filtered`, `delivered` or `dropped`."""
    reason: str = Field(primary_key=True, default="")
    count: int = Field(default=0, sa_type=BigInteger)


class NodeMemoryRow(SQLModel, table=True):
    """What a workflow's node remembers for a collector, see `memory`: written with the verdict that it led to."""

    __tablename__ = "node_memory"

    collector: str = Field(primary_key=True)
    """The collector's key in the ledger."""
    workflow: str = Field(primary_key=True)
    node: str = Field(primary_key=True)
    operator: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    """A hash, never content."""
    at: float
    count: int = Field(default=0, sa_type=BigInteger)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class InputRow(SQLModel, table=True):
    """An input in the embedded app."""

    __tablename__ = "input"
    __table_args__ = (
        Index(
            "input_listed", "user_id", "app_id", "created_at", "id", "collector", "caller", "model", "version"
        ),  # whatever a listing is narrowed by stands in it: no row is read before it is shown
        Index("input_by_url", "user_id", "app_id", "url"),
    )

    user_id: str = Field(primary_key=True)
    app_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """JSON of `data.to_wire`, less the content of an image, video or audio."""
    content: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """That content."""
    media_type: str = ""
    url: str = ""
    """The address of the image, video or audio that was posted by one, else blank."""
    dataset_ids: str = "[]"
    collector: str = ""
    """The collector's key when a collector posted it, else blank."""
    caller: str = ""
    model: str = ""
    version: str = ""
    created_at: float
    story: str = ""
    """JSON: how a collector's input came here, see `delivery.embedded`; blank for any other."""


class InputConceptRow(SQLModel, table=True):
    """A concept of an input, with all that a search for it may be narrowed by: see `input_search`."""

    __tablename__ = "input_concept"
    __table_args__ = ({"sqlite_with_rowid": False},)  # the key is the order in which it is read

    user_id: str = Field(primary_key=True)
    app_id: str = Field(primary_key=True)
    concept: str = Field(primary_key=True)
    created_at: float = Field(primary_key=True)
    id: str = Field(primary_key=True)
    """The input's."""
    value: float
    collector: str
    caller: str
    model: str
    version: str


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


COLLECTOR = _table(CollectorRow)
WORKFLOW = _table(WorkflowRow)
CONCEPT_RELATION = _table(ConceptRelationRow)
SECRET = _table(SecretRow)
API_KEY = _table(ApiKeyRow)
AUDIT = _table(AuditRow)
SCHEMA_VERSION = _table(SchemaRow)
JOB = _table(JobRow)
DELIVERY = _table(DeliveryRow)
ENDED_JOB = _table(EndedJobRow)
TALLY = _table(TallyRow)
NODE_MEMORY = _table(NodeMemoryRow)
INPUT = _table(InputRow)
INPUT_CONCEPT = _table(InputConceptRow)
TABLES = (
    COLLECTOR, WORKFLOW, CONCEPT_RELATION, SECRET, API_KEY, AUDIT, SCHEMA_VERSION, JOB, DELIVERY, ENDED_JOB, TALLY,
    NODE_MEMORY, INPUT, INPUT_CONCEPT,
)  # fmt: skip
"""Ours alone: whatever else a process defines with SQLModel stands in the same metadata."""
