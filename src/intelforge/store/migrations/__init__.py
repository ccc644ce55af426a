"""Schema migrations, run by Alembic.

`KNOWN` lists every revision this version understands, oldest first; opening a workspace compares its revision with
them without importing Alembic.
"""

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = KNOWN[-1]
