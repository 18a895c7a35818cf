"""Run the gateway: `python -m gateway`."""

import asyncio

from market_pulse.bus import Reader
from market_pulse.process.lifecycle import run
from market_pulse.process.logs import configure_logs
from market_pulse.process.settings import check_can_listen, load_settings

from .api.app import build_app
from .api.gateway import Gateway
from .server.server import Server
from .settings import GatewaySettings


async def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. If one of the gateway's jobs fails, its error is raised."""
    async with Reader.open(settings.redis_url.get_secret_value()) as bus:
        gateway = Gateway(settings, bus)
        async with asyncio.TaskGroup() as tasks:
            jobs = tasks.create_task(gateway.run())
            await Server(build_app(gateway), gateway).serve()
            jobs.cancel()


def main() -> None:
    settings = load_settings(GatewaySettings)
    check_can_listen(settings.host, settings.port, ("HOST", "PORT"))
    configure_logs("gateway", settings.log_level, settings.log_format)
    run(serve(settings))


if __name__ == "__main__":
    main()
