"""budgets, and calls counted in nano-dollars by whom they are for

Revision ID: 0003
Revises: 0002
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NANO = 1_000_000_000
KINDS = {"embed": "embedding", "rerank": "reranking"}
RESERVED = sa.text("state = 'reserved'")


def upgrade() -> None:
    for column in _added():
        op.add_column("model_calls", column)
    _count_in_nano_dollars()
    op.drop_column("model_calls", "reserved_usd")
    op.drop_column("model_calls", "cost_usd")
    op.create_index(
        "ix_model_calls_reserved", "model_calls", ["owner"], sqlite_where=RESERVED, postgresql_where=RESERVED
    )
    _create_budgets()
    op.execute("INSERT INTO facts (name, value) VALUES ('budgets', '')")


def downgrade() -> None:
    op.execute("DELETE FROM facts WHERE name = 'budgets'")
    op.drop_index("ix_budget_alerts_at", table_name="budget_alerts")
    op.drop_table("budget_alerts")
    op.drop_table("budget_counters")
    op.drop_index("ix_budgets_scope", table_name="budgets")
    op.drop_table("budgets")
    op.drop_index("ix_model_calls_reserved", table_name="model_calls")
    op.add_column("model_calls", sa.Column("reserved_usd", sa.Float(), nullable=False, server_default="0"))
    op.add_column("model_calls", sa.Column("cost_usd", sa.Float(), nullable=True))
    op.execute("UPDATE model_calls SET reserved_usd = reserved_nano / 1e9, cost_usd = cost_nano / 1e9")
    op.execute("UPDATE model_calls SET state = 'reserved' WHERE state = 'crashed'")
    for column in _added():
        op.drop_column("model_calls", column.name)


def _added() -> tuple["sa.Column[Any]", ...]:
    return (
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="chat"),
        sa.Column("provider", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("user", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("team", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("run", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("owner", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("reserved_nano", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cost_nano", sa.BigInteger(), nullable=True),
        sa.Column("charged_nano", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("held", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("cache_read_tokens", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("thinking_tokens", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_token_seconds", sa.Float(), nullable=True),
        sa.Column("hour", sa.Integer(), nullable=False, server_default="0"),
    )


def _count_in_nano_dollars() -> None:
    """A call without a process's name that is still open was made by one that is gone: its reservation is spent."""
    calls = sa.table(
        "model_calls",
        sa.column("at", sa.DateTime(timezone=True)),
        *(sa.column(name) for name in ("id", "model", "purpose", "state", "reserved_usd", "cost_usd")),
        *(sa.column(column.name) for column in _added() if column.name != "held"),
    )
    connection = op.get_bind()
    columns = (calls.c[name] for name in ("id", "model", "purpose", "state", "reserved_usd", "cost_usd", "at"))
    values = [_values(row) for row in connection.execute(sa.select(*columns))]
    if values:
        changed: dict[str, Any] = {name: sa.bindparam(name) for name in values[0] if name != "key"}
        connection.execute(calls.update().where(calls.c.id == sa.bindparam("key")).values(changed), values)


def _values(row: Any) -> dict[str, Any]:
    at: datetime = row.at if row.at.tzinfo else row.at.replace(tzinfo=UTC)
    reserved = round(row.reserved_usd * NANO)
    cost = None if row.cost_usd is None else round(row.cost_usd * NANO)
    return {
        "key": row.id,
        "kind": KINDS.get(row.purpose, "chat"),
        "provider": row.model.partition(":")[0],
        "state": "crashed" if row.state == "reserved" else row.state,
        "reserved_nano": reserved,
        "cost_nano": cost,
        "charged_nano": reserved if cost is None else cost,
        "hour": int(at.timestamp()) // 3600,
    }


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=32), nullable=False),
        *(sa.Column(name, sa.String(length=255), nullable=False) for name in ("user", "team", "run", "model")),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_budgets_scope", "budgets", ["user", "team", "run", "model", "period"], unique=True)
    op.create_table(
        "budget_counters",
        *_counter_key(),
        sa.Column("spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("alerted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("budget_id", "subject", "window_key"),
    )
    op.create_table(
        "budget_alerts",
        *_counter_key(),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("budget_id", "subject", "window_key", "threshold", "limit_nano"),
    )
    op.create_index("ix_budget_alerts_at", "budget_alerts", ["at"], unique=False)


def _counter_key() -> tuple["sa.Column[str]", ...]:
    return (
        sa.Column("budget_id", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("window_key", sa.String(length=16), nullable=False),
    )
