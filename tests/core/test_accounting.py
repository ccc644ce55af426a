"""For whom a task works."""

import asyncio

import pytest

from intelforge.core.accounting import accounting_for, on_behalf_of
from intelforge.core.chat import Accounting

ANN = Accounting(user="ann", team="sales", run="r1", purpose="chat")


def test_a_call_on_the_way_is_for_the_caller_and_has_its_own_purpose() -> None:
    assert accounting_for("embed") == Accounting(purpose="embed")
    with on_behalf_of(ANN):
        assert accounting_for("embed") == Accounting(user="ann", team="sales", run="r1", purpose="embed")
        with on_behalf_of(Accounting(user="bob")):
            assert accounting_for("rerank") == Accounting(user="bob", purpose="rerank")
        assert accounting_for("rerank").user == "ann"


def test_the_caller_is_forgotten_when_the_work_fails() -> None:
    with pytest.raises(ValueError, match="no"), on_behalf_of(ANN):
        raise ValueError("no")
    assert accounting_for("embed").user == ""


async def test_tasks_and_threads_work_for_whom_they_were_begun() -> None:
    async def user() -> str:
        await asyncio.sleep(0)
        return accounting_for("embed").user

    before = asyncio.create_task(user())
    with on_behalf_of(ANN):
        within = asyncio.create_task(user())
        threaded = asyncio.create_task(asyncio.to_thread(lambda: accounting_for("embed").user))
    assert list(await asyncio.gather(before, within, threaded, user())) == ["", "ann", "ann", ""]
