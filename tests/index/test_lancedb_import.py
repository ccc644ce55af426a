import subprocess
import sys

import pytest

from intelforge.index.lancedb_import import CLIENT, import_lancedb

SCRIPT = f"""
import sys
from intelforge.index.lancedb_import import import_lancedb
assert import_lancedb() is import_lancedb() is sys.modules["lancedb"]
assert not [name for name in sys.modules if name.startswith("{CLIENT}")]
import {CLIENT}.models
assert {CLIENT}.models.ListTablesResponse.model_fields
"""


@pytest.mark.slow
def test_the_client_is_left_out_and_can_still_be_imported_whole() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_again_gives_the_same_module() -> None:
    assert import_lancedb() is import_lancedb()
