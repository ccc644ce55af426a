import subprocess
import sys

import pytest

from intelforge.index.lancedb_import import CLIENT, import_lancedb

SCRIPT = f"""
import sys
from intelforge.index.lancedb_import import import_lancedb
assert import_lancedb() is import_lancedb() is sys.modules["lancedb"]
assert "{CLIENT}.api" not in sys.modules
import {CLIENT} as client
from lancedb.namespace import QueryTableRequest
assert client.models.QueryTableRequest is QueryTableRequest
assert client.ApiClient and "{CLIENT}.api" in sys.modules
"""


@pytest.mark.slow
def test_the_client_is_hollow_until_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_again_gives_the_same_module() -> None:
    assert import_lancedb() is import_lancedb()
