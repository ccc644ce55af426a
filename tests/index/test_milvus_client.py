import importlib.util
import os

import pytest

from intelforge.core.errors import ErrorCode, StorageError
from intelforge.index.milvus_client import translated

installed = pytest.mark.skipif(
    not importlib.util.find_spec("pymilvus") and os.environ.get("CI") != "true",
    reason="pip install 'intelforge[milvus]'",
)


@installed
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("auth check failure, please check api key is correct", ErrorCode.REFUSED),
        ("Fail connecting to server on box:19530", ErrorCode.UNREACHABLE),
        ("collection was damaged", ErrorCode.DAMAGED),
    ],
)
def test_what_the_server_says_becomes_a_code_and_a_hint(said: str, code: ErrorCode) -> None:
    from pymilvus.exceptions import MilvusException

    def refuse() -> None:
        raise MilvusException(code=1, message=said)

    with pytest.raises(StorageError) as caught:
        translated("milvus:index", refuse)
    assert caught.value.error_code is code
    assert caught.value.hint
