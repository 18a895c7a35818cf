"""The errors that a service's run reports, and those that it ignores."""

import asyncio
import logging

import pytest

from market_pulse.process.lifecycle import run


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        pytest.param(OSError("Temporary failure in name resolution"), 0, id="a name that did not resolve in time"),
        pytest.param(KeyError("price"), 1, id="a mistake"),
    ],
)
def test_what_nobody_waited_for(exception: Exception, told: int, caplog: pytest.LogCaptureFixture) -> None:
    async def leave_it() -> None:
        asyncio.get_running_loop().create_future().set_exception(exception)
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(leave_it())
    assert len(caplog.records) == told
