"""Where it is served, and for whom."""

import socket

import pytest

from intelforge.core.errors import BackendError, ConfigError
from intelforge.interfaces.api.limits import Limits
from intelforge.interfaces.api.serve import Serving, listen


def serving(host: str = "127.0.0.1", port: int = 0, key: str = "") -> Serving:
    return Serving(workspace=None, host=host, port=port, key=key)


def test_clients_may_connect_before_they_are_served() -> None:
    with listen(serving()) as listening, socket.create_connection(listening.getsockname(), timeout=10) as client:
        assert client.getpeername() == listening.getsockname()


def test_other_machines_need_a_key() -> None:
    with pytest.raises(ConfigError, match="INTELFORGE_API_KEY is not set"):
        listen(serving("0.0.0.0"))
    with listen(serving("0.0.0.0", key="s3cret")) as listening:
        assert listening.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_an_address_that_cannot_be_listened_on_is_said(host: str) -> None:
    with listen(serving()) as taken, pytest.raises(BackendError, match=f"{host}:.* cannot be listened on"):
        listen(serving(host, taken.getsockname()[1], key="s3cret"))


def test_as_many_requests_are_answered_as_the_limits_say() -> None:
    assert serving().requests == Limits().requests == 512
