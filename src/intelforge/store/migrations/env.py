"""Alembic's entry: migrates the connection it is given, in one transaction."""

from alembic import context

from intelforge.store.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
