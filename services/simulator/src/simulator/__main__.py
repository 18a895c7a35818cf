"""Run the simulator: `python -m simulator`."""

import asyncio

from market_pulse.process.lifecycle import run, run_until_stopped
from market_pulse.process.logs import configure_logs, get_logger
from market_pulse.process.settings import check_can_listen, load_settings

from .app import serving
from .settings import Settings


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with serving(settings) as running:
        get_logger().info(
            "simulator listening: all its prices are made up",
            url=f"http://{running.host}:{running.port}",
            rate=settings.rate,
            seed=settings.seed,
        )
        await run_until_stopped(asyncio.Event().wait())


def main() -> None:
    settings = load_settings(Settings)
    check_can_listen(settings.host, settings.port, ("HOST", "PORT"))
    configure_logs("simulator", settings.log_level, settings.log_format)
    run(serve(settings))


if __name__ == "__main__":
    main()
