"""The tables. What they hold is the truth; the index and the embeddings can be rebuilt from them.

A document is one text, stored once whatever the number of items that have it. An item points to its present document;
`versions` remembers the earlier ones. `index_standings` says how far each version of the index has followed, so that
after a crash the remaining work is a query.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite keeps no zone, and PostgreSQL gives it in the zone of its server."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Table(DeclarativeBase):
    """The metadata all tables share."""


class SourceRow(Table):
    __tablename__ = "sources"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    uri: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, str]] = mapped_column(JSON)
    access: Mapped[list[str]] = mapped_column(JSON)
    local_models_only: Mapped[bool] = mapped_column(Boolean, server_default=false())
    cursor: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    synced_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (Index("ix_sources_kind_uri", "kind", "uri", unique=True),)


class DocumentRow(Table):
    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(32))
    details: Mapped[dict[str, str]] = mapped_column(JSON)
    chunk_count: Mapped[int] = mapped_column(Integer)
    # Counts up when what the document can be filtered by may have changed.
    revision: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(Instant)
    # Last, so that SQLite reads the other columns without walking through the text.
    text: Mapped[str] = mapped_column(Text)

    # All that counting chunks reads, which spares it the texts.
    __table_args__ = (Index("ix_documents_chunk_count", "id", "chunk_count"),)


class ChunkRow(Table):
    __tablename__ = "chunks"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True)
    start_char: Mapped[int] = mapped_column(Integer)
    end_char: Mapped[int] = mapped_column(Integer)
    heading: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))
    tokens: Mapped[int] = mapped_column(Integer)


class ItemRow(Table):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"))
    uri: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(32), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    etag: Mapped[str | None] = mapped_column(Text)
    last_modified: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[str | None] = mapped_column(String(64))
    content_hash: Mapped[str | None] = mapped_column(String(64))
    document_id: Mapped[str | None] = mapped_column(ForeignKey("documents.id"))
    updated_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (
        Index("ix_items_source_uri", "source_id", "uri", unique=True),
        Index("ix_items_document", "document_id", "state"),
        Index("ix_items_state", "state"),
    )


class VersionRow(Table):
    __tablename__ = "versions"

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


class IndexVersionRow(Table):
    __tablename__ = "index_versions"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str] = mapped_column(Text)
    embedder: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
    live_at: Mapped[datetime | None] = mapped_column(Instant)


class StandingRow(Table):
    """A document that a version of the index holds: with the attributes of which revision, and how many vectors."""

    __tablename__ = "index_standings"

    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    described: Mapped[int] = mapped_column(Integer)
    embedded_chunks: Mapped[int] = mapped_column(Integer, default=0)

    # Without rowid a look-up by the key finds the row itself: every search counts over all of them.
    __table_args__ = (Index("ix_index_standings_document", "document_id"), {"sqlite_with_rowid": False})


class LeaseRow(Table):
    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128))
    detail: Mapped[str] = mapped_column(Text, default="")
    expires_at: Mapped[float] = mapped_column(Float)


class FactRow(Table):
    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class CallRow(Table):
    """One model call. Money is in nano-dollars."""

    __tablename__ = "model_calls"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(255))
    provider: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(64))
    user: Mapped[str] = mapped_column(String(255))
    team: Mapped[str] = mapped_column(String(255))
    run: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    # The process that makes the call, as leases name it.
    owner: Mapped[str] = mapped_column(String(255))
    reserved_nano: Mapped[int] = mapped_column(BigInteger)
    # As known; null while it is not.
    cost_nano: Mapped[int | None] = mapped_column(BigInteger)
    # What budgets and reports count: the cost, or the reservation where that is not known. Nothing until settled.
    charged_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    # The budget counters that hold its reservation.
    held: Mapped[list[list[str]]] = mapped_column(JSON)
    input_tokens: Mapped[int] = mapped_column(Integer, default=0)
    output_tokens: Mapped[int] = mapped_column(Integer, default=0)
    cache_read_tokens: Mapped[int] = mapped_column(Integer, default=0)
    cache_write_tokens: Mapped[int] = mapped_column(Integer, default=0)
    thinking_tokens: Mapped[int] = mapped_column(Integer, default=0)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    first_token_seconds: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str] = mapped_column(String(32), default="")
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    # Since the epoch: what reports group by, on every database alike.
    hour: Mapped[int] = mapped_column(Integer)

    # What the supervisor looks through.
    __table_args__ = (
        Index(
            "ix_model_calls_reserved",
            "owner",
            sqlite_where=text("state = 'reserved'"),
            postgresql_where=text("state = 'reserved'"),
        ),
    )


class BudgetRow(Table):
    __tablename__ = "budgets"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user: Mapped[str] = mapped_column(String(255))
    team: Mapped[str] = mapped_column(String(255))
    run: Mapped[str] = mapped_column(String(255))
    model: Mapped[str] = mapped_column(String(255))
    period: Mapped[str] = mapped_column(String(8))
    limit_nano: Mapped[int] = mapped_column(BigInteger)
    hard: Mapped[bool]
    thresholds: Mapped[list[int]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index("ix_budgets_scope", "user", "team", "run", "model", "period", unique=True),)


class CounterRow(Table):
    """What was spent of a budget in one of its periods, and what is reserved by calls under way."""

    __tablename__ = "budget_counters"

    budget_id: Mapped[str] = mapped_column(ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True)
    # Whose, for a budget of each: names as a JSON list; empty otherwise.
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    window_key: Mapped[str] = mapped_column(String(16), primary_key=True)
    spent_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    reserved_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    refused: Mapped[int] = mapped_column(Integer, default=0)
    # The highest threshold that was told of.
    alerted: Mapped[int] = mapped_column(Integer, default=0)


class AlertRow(Table):
    __tablename__ = "budget_alerts"

    budget_id: Mapped[str] = mapped_column(ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    window_key: Mapped[str] = mapped_column(String(16), primary_key=True)
    threshold: Mapped[int] = mapped_column(Integer, primary_key=True)
    # A budget that is given another limit may reach the threshold anew.
    limit_nano: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    spent_nano: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Instant, index=True)


class SearchRow(Table):
    __tablename__ = "searches"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(Instant)
    seconds: Mapped[float] = mapped_column(Float)
    parts: Mapped[dict[str, float]] = mapped_column(JSON)
    slow: Mapped[bool]
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (Index("ix_searches_slow", "slow"),)


class ModelProfileRow(Table):
    __tablename__ = "model_profiles"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    model: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime] = mapped_column(Instant)
    result: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (Index("ix_model_profiles_model", "model", "at"),)


class RouterCallRow(Table):
    """A call that the router decided on. The request is kept as its features, not as its words."""

    __tablename__ = "router_calls"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    model: Mapped[str] = mapped_column(String(255))
    propensity: Mapped[float] = mapped_column(Float)
    quality: Mapped[float | None] = mapped_column(Float)
    source: Mapped[str] = mapped_column(String(16))
    # In 1e-9 US dollars.
    cost_nano: Mapped[int | None] = mapped_column(BigInteger)
    latency: Mapped[float | None] = mapped_column(Float)
    output_tokens: Mapped[int | None] = mapped_column(Integer)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    # float32, little-endian; empty without an embedder.
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    # The model that gave the reply, where it was not the chosen one.
    replied: Mapped[str] = mapped_column(String(255))
    # The same for the same question of the same asker.
    asked: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index("ix_router_calls_at", "at"), Index("ix_router_calls_asked", "asked", "at"))


class RouterEventRow(Table):
    """Something that routers take in, in the order of its numbers: what came of a call, a freeze, an import."""

    __tablename__ = "router_events"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    call: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(255))
    quality: Mapped[float | None] = mapped_column(Float)
    source: Mapped[str] = mapped_column(String(16))
    latency: Mapped[float | None] = mapped_column(Float)
    output_tokens: Mapped[int | None] = mapped_column(Integer)
    era: Mapped[str] = mapped_column(String(64))
    spent: Mapped[float] = mapped_column(Float)
    exploring: Mapped[float] = mapped_column(Float)
    expected: Mapped[float] = mapped_column(Float)
    given_up: Mapped[float] = mapped_column(Float)


class RouterStateRow(Table):
    """What a router has learned, by its name."""

    __tablename__ = "router_states"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    # Empty before one was kept.
    state: Mapped[bytes] = mapped_column(LargeBinary)
    # Of the last event that is in the state.
    number: Mapped[int] = mapped_column(BigInteger)


class RouterCounterRow(Table):
    """The number of a router's last event, apart from its state: who adds events writes this row, which is small."""

    __tablename__ = "router_counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)
