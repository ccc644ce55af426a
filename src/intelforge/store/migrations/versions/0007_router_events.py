"""what routers take in, one event after the other

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "router_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("latency", sa.Float(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("era", sa.String(length=64), nullable=False),
        sa.Column("spent", sa.Float(), nullable=False),
        sa.Column("exploring", sa.Float(), nullable=False),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("given_up", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "router_counters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("router_states", sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("router_calls", sa.Column("replied", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("router_calls", sa.Column("asked", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_router_calls_asked", "router_calls", ["asked", "at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_router_calls_asked", table_name="router_calls")
    for table, column in (
        ("router_calls", "asked"),
        ("router_calls", "replied"),
        ("router_states", "number"),
    ):
        op.drop_column(table, column)
    op.drop_table("router_counters")
    op.drop_table("router_events")
