"""Run the simulator: `python -m simulator`."""

import asyncio

from market_pulse.lifecycle import run, run_until_stopped
from market_pulse.logs import configure_logs, get_logger
from market_pulse.settings import load_settings

from .app import serving
from .settings import Settings


async def main() -> None:
    settings = load_settings(Settings)
    configure_logs("simulator", settings.log_level, settings.log_format)
    async with serving(settings) as running:
        get_logger().info(
            "simulator listening: all its prices are made up",
            url=f"http://{running.host}:{running.port}",
            rate=settings.rate,
            seed=settings.seed,
        )
        await run_until_stopped(asyncio.Event().wait())


if __name__ == "__main__":
    run(main())
