"""The database of record: tables, migrations and repositories, on SQLite and PostgreSQL alike."""
