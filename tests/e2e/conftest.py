"""Fixtures for the tests here that run in containers."""

import pytest

from support.demo import Demo


@pytest.fixture
async def demo(deployment: Demo) -> Demo:
    """The deployment, with every price complete."""
    await deployment.ready()
    return deployment
