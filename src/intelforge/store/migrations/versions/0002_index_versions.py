"""versions of the index, and what each has of every document

What is indexed and embedded so far becomes the first version. Its URL is in the settings and not known here: the row
is left without one, and takes it when the workspace is opened.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "index_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "index_standings",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.String(length=32), nullable=False),
        sa.Column("described", sa.Integer(), nullable=False),
        sa.Column("embedded_chunks", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version", "document_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_index_standings_document", "index_standings", ["document_id"], unique=False)
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_searches_slow", "searches", ["slow"], unique=False)
    op.execute(
        "INSERT INTO index_standings (version, document_id, described, embedded_chunks) "
        "SELECT 1, id, described, embedded_chunks FROM documents WHERE indexed"
    )
    op.execute(
        "INSERT INTO index_versions (number, url, embedder, model, state, reason, created_at, live_at) "
        "SELECT 1, '', '', COALESCE(MAX(CASE WHEN embedded_chunks > 0 THEN embedder END), ''), 'live', 'first', "
        "MIN(created_at), MIN(created_at) FROM documents WHERE indexed HAVING COUNT(*) > 0"
    )
    op.drop_index("ix_documents_indexed", table_name="documents")
    op.drop_index("ix_documents_embedder", table_name="documents")
    for column in ("indexed", "embedder", "described", "embedded_chunks"):
        op.drop_column("documents", column)
    op.create_index("ix_documents_chunk_count", "documents", ["id", "chunk_count"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_documents_chunk_count", table_name="documents")
    op.add_column("documents", sa.Column("indexed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("documents", sa.Column("embedder", sa.String(length=255), nullable=False, server_default=""))
    for column in ("described", "embedded_chunks"):
        op.add_column("documents", sa.Column(column, sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_documents_embedder", "documents", ["embedder"], unique=False)
    op.create_index("ix_documents_indexed", "documents", ["indexed"], unique=False)
    op.drop_index("ix_searches_slow", table_name="searches")
    op.drop_table("searches")
    op.drop_index("ix_index_standings_document", table_name="index_standings")
    op.drop_table("index_standings")
    op.drop_table("index_versions")
