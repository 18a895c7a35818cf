from market_pulse.process.lifecycle import run
from market_pulse.process.logs import configure_logs
from market_pulse.process.settings import check_can_listen, load_settings

from .service import serve
from .settings import CandlesSettings


def main() -> None:
    settings = load_settings(CandlesSettings)
    check_can_listen(settings.health_host, settings.health_port, ("HEALTH_HOST", "HEALTH_PORT"))
    configure_logs("candles", settings.log_level, settings.log_format)
    run(serve(settings))


if __name__ == "__main__":
    main()
