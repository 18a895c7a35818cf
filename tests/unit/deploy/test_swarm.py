"""deploy/swarm as `docker stack deploy` reads it: with least rights, complete, and consistent with the parts' code."""

import re
from typing import Any

import pytest
import yaml

from support.parts import INGESTS, ROOT, SETTINGS, VERSION, image_version, variables

SWARM = ROOT / "deploy/swarm"
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def services(file: str) -> dict[str, Any]:
    """Return a file's services, with each variable replaced by its default."""
    content: dict[str, Any] = yaml.safe_load(DEFAULT.sub(r"\1", (SWARM / file).read_text()))
    return dict(content["services"])


STACK, DEMO = services("stack.yml"), services("demo.yml")
OURS = {name: service for name, service in (STACK | {"simulator": DEMO["simulator"]}).items() if name in SETTINGS}


def test_every_part_is_there() -> None:
    assert set(OURS) == set(SETTINGS)
    assert set(DEMO) == {*INGESTS, "simulator"}


@pytest.mark.parametrize("name", [*STACK, "simulator"])
def test_containers_may_do_little(name: str) -> None:
    service = (STACK | {"simulator": DEMO["simulator"]})[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "pids"}
    assert not (service.keys() & {"privileged", "cap_add"})


@pytest.mark.parametrize("name", [name for name in OURS if name != "simulator"])
def test_every_setting_reaches_its_part(name: str) -> None:
    assert set(OURS[name]["environment"]) == variables(SETTINGS[name]) - {"REDIS_URL"}
    assert OURS[name]["secrets"] == [{"source": name, "target": "redis_url"}]


def test_the_demo_sets_what_there_is() -> None:
    assert all(set(DEMO[name]["environment"]) <= variables(SETTINGS[name]) for name in DEMO)


@pytest.mark.parametrize("name", OURS)
def test_images_are_the_parts_own(name: str) -> None:
    assert image_version(OURS[name]["image"], name) == VERSION
    assert OURS[name]["build"]["args"] == {"PACKAGE": name}


def test_the_edge_sees_each_gateway_and_each_client() -> None:
    assert STACK["gateway"]["deploy"]["endpoint_mode"] == "dnsrr"
    assert [port["mode"] for port in STACK["edge"]["ports"]] == ["host"]
    assert STACK["edge"]["deploy"]["mode"] == "global"


def test_the_page_s_port_is_chosen_as_elsewhere() -> None:
    [port] = yaml.safe_load((SWARM / "stack.yml").read_text())["services"]["edge"]["ports"]
    assert port["published"] == "${PORT:-8080}"


def test_every_setting_reaches_the_edge() -> None:
    """Except those for HTTPS, which the load balancer in front of the edges handles."""
    read = set(re.findall(r"\$\{(EDGE_\w+)", (ROOT / "deploy/edge/haproxy.cfg").read_text()))
    assert set(STACK["edge"]["environment"]) == read


def test_an_update_begins_with_the_new_copy() -> None:
    for name in (*INGESTS, "aggregator", "candles", "gateway"):
        assert STACK[name]["deploy"]["update_config"]["order"] == "start-first"
        assert STACK[name]["deploy"]["replicas"] >= 2
