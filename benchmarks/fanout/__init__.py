"""One ticker to many streams: the gateway as it is shipped, beside other servers for the same job and a C loop as the limit.

    python benchmarks/bench.py fanout [--quick] [--only moderate,clock] [--rounds 3]

Each server runs on a core of its own, with a Redis of its own, and receives ticks in the shape of real ones. Scenes: moderate,
saturation, clock, half, stalled, life. In the first three the servers take turns in each round; figures are medians of the
rounds, ratios are medians of each round's ratio. A whole run takes some ten minutes; a quick one, with few clients and one
round, takes less than two. A server that breaks is reported and started anew. If that was the gateway, the run has failed.
"""

import argparse
import resource

import report
import system  # noqa: F401 - makes the tests' support importable
from fanout import clock, lifecycle, moderate, saturation, slow
from fanout.cores import Cores
from fanout.run import Run, timed
from fanout.servers import ALL, GATEWAY, Fleet, redis_program
from fanout.traffic import SYMBOLS, message

FIRST_PORT = 7600
SCENES = {
    "moderate": moderate.measure,
    "saturation": saturation.measure,
    "clock": clock.measure,
    "half": slow.measure_half_speed,
    "stalled": slow.measure_stalled,
    "life": lifecycle.measure,
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        "bench.py fanout", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="few clients and one round, to see that it runs; the figures mean little"
    )
    parser.add_argument("--only", default=",".join(SCENES), help="scenes, separated by commas")
    parser.add_argument("--servers", help="beside the gateway, only the servers whose names start like this")
    parser.add_argument("--rounds", type=int, help="the number of rounds in scenes in which the servers take turns (3)")
    options = parser.parse_args(arguments)
    scenes = options.only.split(",")
    if unknown := set(scenes) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    on = Cores()
    print(f"{on}; {most} descriptors a process; {len(message(SYMBOLS[0]))} bytes a tick")
    print(report.program(redis_program(), "--version"))
    servers = []
    for server in ALL:
        if options.servers and server is not GATEWAY and not server.name.startswith(tuple(options.servers.split(","))):
            continue
        why = server.missing()
        print(f"- {server.name}: {server.version() if why is None else f'LEFT OUT: {why}'}", flush=True)
        if why is None:
            servers.append(server)

    fleet = Fleet(on, FIRST_PORT)
    run = Run(fleet, servers, options.quick, options.rounds or (1 if options.quick else 3))
    try:
        for scene in scenes:
            run.scene = scene
            with timed(scene):
                SCENES[scene](run)
    finally:
        fleet.stop()
    run.show()
    print(f"\nThe program that reads the streams used {run.busiest_load:.2f} of its core at most.")
    if any(name.startswith(GATEWAY.name) for name, _ in run.broken):
        raise SystemExit(1)
