"""The cost of a visitor: bytes on the wire, and the processor time of the server and of the browser.

    python benchmarks/bench.py line [--quick] [--only wire,compression,edge,browser] [--rounds 3]

Scenes: wire (many streams of the gateway and of other servers, read by a C program), compression (ways to compress a stream,
on recorded pieces), edge (the compression of HAProxy, in a container), browser (pages in Chromium, on all parts and the
simulator). The tickers are those of a market that moves. A whole run takes half an hour, a quick one five minutes.
"""

import argparse
import resource

import report
import system  # noqa: F401 - makes the tests' support importable
from fanout.cores import Cores
from fanout.run import Run, timed
from fanout.servers import GATEWAY, NCHAN, NODE, Fleet, redis_program
from line import browser, compression, edge, wire

FIRST_PORT = 7700
SCENES = {"wire": wire.measure, "compression": compression.measure, "edge": edge.measure, "browser": browser.measure}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("bench.py line", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few streams, short, one round: to see that it runs")
    parser.add_argument("--only", default=",".join(SCENES), help="scenes, separated by commas")
    parser.add_argument("--rounds", type=int, help="the number of rounds, in each of which all take turns (3)")
    options = parser.parse_args(arguments)
    scenes = options.only.split(",")
    if unknown := set(scenes) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    on = Cores()
    print(f"{on}; {most} descriptors a process; {report.program(redis_program(), '--version')}")
    servers = []
    for server in (GATEWAY, NODE, NCHAN):
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
    if any(name == GATEWAY.name for name, _ in run.broken):
        raise SystemExit(1)
