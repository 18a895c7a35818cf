"""The objects that deploy/kubernetes builds for a cluster: valid, with least rights, and consistent with the parts' code."""

import base64
import hashlib
import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import kubernetes_validate
import pytest
import yaml

from gateway.api.app import build_app
from gateway.api.edge import HEADER, HOLDS
from gateway.api.gateway import Gateway
from gateway.api.metrics import gateway_registry
from gateway.server.server import CLOSE_LIMIT_S
from gateway.settings import GatewaySettings
from market_pulse.bus import Reader
from market_pulse.process.health import health_app
from market_pulse.process.lifecycle import DRAIN_LIMIT_S
from market_pulse.process.settings import HealthSettings, Settings
from simulator import app as simulator
from simulator.settings import Settings as SimulatorSettings
from support.parts import INGESTS, ROOT, SETTINGS, VERSION, image_version, variables
from support.redis_server import make_users

Object = dict[str, Any]

KUSTOMIZATIONS = ("base", "overlays/live", "overlays/demo")
VERSIONS = ("1.30", "1.37")  # the oldest version with all features that we use, and the newest with a known schema
EXTENSIONS = ("gateway.networking.k8s.io/v1",)  # not part of Kubernetes itself, so there is no schema to check these with
BUILD = next((command for command in (("kustomize", "build"), ("kubectl", "kustomize")) if shutil.which(command[0])), None)

pytestmark = pytest.mark.skipif(BUILD is None, reason="neither kustomize nor kubectl on the PATH")
each_kustomization = pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)


@cache
def build(kustomization: str) -> list[Object]:
    """Make the users of Redis as the documentation says, and return all objects of a kustomization."""
    assert BUILD is not None
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copytree(ROOT / "deploy/kubernetes", folder, dirs_exist_ok=True)
        make_users(Path(copied) / "overlays/demo/secrets")
        command = [*BUILD, f"{copied}/{kustomization}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def named(kustomization: str, kind: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in build(kustomization) if found["kind"] == kind}


def only(kustomization: str, kind: str) -> Object:
    [found] = named(kustomization, kind).values()
    return found


def pods(kustomization: str) -> dict[str, Object]:
    """Return each Deployment's pod template, by the Deployment's name."""
    return {name: found["spec"]["template"] for name, found in named(kustomization, "Deployment").items()}


def container(pod: Object) -> Object:
    [found] = pod["spec"]["containers"]
    return dict(found)


def parts(kustomization: str) -> dict[str, Object]:
    """Return the container of each of our parts."""
    return {name: container(pod) for name, pod in pods(kustomization).items() if name in SETTINGS}


def probes(content: Object) -> dict[str, Object]:
    return {kind: content[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in content}


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def chosen(selector: Object, kustomization: str) -> set[str]:
    return {name for name, pod in pods(kustomization).items() if selects(selector, pod["metadata"]["labels"])}


def environment(kustomization: str, content: Object) -> dict[str, str]:
    """Return a container's environment variables, without those from the cluster's own Secret."""
    found: dict[str, str] = {}
    for source in content.get("envFrom", []):
        found |= named(kustomization, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in content.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif secret := named(kustomization, "Secret").get(variable["valueFrom"]["secretKeyRef"]["name"]):
            found[variable["name"]] = base64.b64decode(secret["data"][variable["valueFrom"]["secretKeyRef"]["key"]]).decode()
    return found


def settings(kustomization: str, part: str) -> Settings:
    """Return a part's settings from its environment. A value that the part would refuse at start raises here."""
    kind, told = SETTINGS[part], environment(kustomization, parts(kustomization)[part])
    values: dict[str, Any] = {name.lower(): value for name, value in told.items() if name in variables(kind)}
    return kind(**values)


@pytest.mark.parametrize("version", VERSIONS)
@each_kustomization
def test_objects_are_valid(kustomization: str, version: str) -> None:
    for found in build(kustomization):
        if found["apiVersion"] not in EXTENSIONS:
            kubernetes_validate.validate(found, version, strict=True)


@each_kustomization
def test_every_exchange_is_there(kustomization: str) -> None:
    assert {name for name in pods(kustomization) if name.startswith("ingest-")} == set(INGESTS)
    assert chosen({"matchLabels": {"app.kubernetes.io/component": "ingest"}}, kustomization) == set(INGESTS)


@each_kustomization
def test_containers_may_do_little(kustomization: str) -> None:
    for name, pod in pods(kustomization).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        for content in (*spec["containers"], *spec.get("initContainers", [])):
            assert content["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert content["resources"]["requests"].keys() == content["resources"]["limits"].keys() == {"cpu", "memory"}, name


@each_kustomization
def test_every_variable_is_a_setting(kustomization: str) -> None:
    """A renamed setting must be renamed here, too."""
    unknown = {
        f"{part}: {variable['name']}"
        for part, content in parts(kustomization).items()
        for variable in content["env"]
        if variable["name"] not in variables(SETTINGS[part])
    }
    assert unknown == set()
    anybody = set().union(*map(variables, SETTINGS.values()))
    assert only(kustomization, "ConfigMap")["data"].keys() - anybody == set()


@each_kustomization
def test_each_part_has_a_redis_url_of_its_own(kustomization: str) -> None:
    for part, content in parts(kustomization).items():
        urls = [variable for variable in content["env"] if variable["name"] == "REDIS_URL"]
        assert [url["valueFrom"]["secretKeyRef"]["key"] for url in urls] == ([] if part == "simulator" else [part])


def test_the_demo_s_redis_knows_each_part() -> None:
    told = {name.rpartition("-")[0]: found["data"] for name, found in named("overlays/demo", "Secret").items()}
    [(file, encoded)] = told["redis-users"].items()
    rules = base64.b64decode(encoded).decode().splitlines()
    assert "user default off" in rules
    for part, content in parts("overlays/demo").items():
        if part != "simulator":
            url = urlsplit(environment("overlays/demo", content)["REDIS_URL"])
            assert (url.username, url.hostname, url.port, url.path) == (part, "redis", 6379, "/0")
            digest = hashlib.sha256(str(url.password).encode()).hexdigest()
            assert len([rule for rule in rules if rule.startswith(f"user {part} on #{digest} ")]) == 1
    pod = pods("overlays/demo")["redis"]
    [mounted] = [mount["mountPath"] for mount in container(pod)["volumeMounts"] if mount["name"] == "users"]
    [volume] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "users"]
    assert volume["secret"]["secretName"] in named("overlays/demo", "Secret")
    arguments = container(pod)["args"]
    assert arguments[arguments.index("--aclfile") + 1] == f"{mounted}/{file}"


@each_kustomization
def test_parts_listen_where_they_are_asked(kustomization: str) -> None:
    for part, content in parts(kustomization).items():
        told: Any = settings(kustomization, part)
        host, port = (told.health_host, told.health_port) if isinstance(told, HealthSettings) else (told.host, told.port)
        [listening] = content["ports"]
        assert (host, port) == ("0.0.0.0", listening["containerPort"]), part
        assert {probe["httpGet"]["port"] for probe in probes(content).values()} == {listening["name"]}, part
        annotations = pods(kustomization)[part]["metadata"].get("annotations", {})
        assert annotations.get("prometheus.io/port", str(port)) == str(port), part
    for name, service in named(kustomization, "Service").items():
        [behind] = chosen({"matchLabels": service["spec"]["selector"]}, kustomization)
        [port], [listening] = service["spec"]["ports"], container(pods(kustomization)[behind])["ports"]
        assert (port["targetPort"], port["port"]) == (listening["name"], listening["containerPort"]), name


@each_kustomization
async def test_probes_ask_what_is_answered(kustomization: str) -> None:
    async with Reader.open("redis://127.0.0.1:1") as bus:
        apps = {"gateway": build_app(Gateway(GatewaySettings(), bus))}
        routes = simulator.build_app(simulator.build_engine(SimulatorSettings())).router.resources()
        for part, content in parts(kustomization).items():
            paths = {probe["httpGet"]["path"] for probe in probes(content).values()}
            if part == "simulator":
                assert paths <= {route.canonical for route in routes}
                continue
            transport = httpx.ASGITransport(apps.get(part) or health_app({}, {}))
            async with httpx.AsyncClient(transport=transport, base_url="http://part") as client:
                assert {path: (await client.get(path)).status_code for path in paths}.items() <= {
                    "/livez": 200,
                    "/readyz": 503 if part == "gateway" else 200,  # the gateway has no bus here
                }.items(), part


@each_kustomization
def test_there_is_time_to_stop(kustomization: str) -> None:
    for part in SETTINGS.keys() - {"simulator"}:
        pod, told = pods(kustomization)[part]["spec"], settings(kustomization, part)
        before_s = container({"spec": pod}).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain_s = 2 * told.drain_s + CLOSE_LIMIT_S if isinstance(told, GatewaySettings) else DRAIN_LIMIT_S
        assert pod["terminationGracePeriodSeconds"] > before_s + drain_s, part


def selectors(kustomization: str) -> Iterator[tuple[str, Object]]:
    for kind in ("Deployment", "PodDisruptionBudget"):
        for name, found in named(kustomization, kind).items():
            yield name, found["spec"]["selector"]
    for name, pod in pods(kustomization).items():
        for constraint in pod["spec"].get("topologySpreadConstraints", []):
            yield name, constraint["labelSelector"]


@each_kustomization
def test_what_is_a_part_s_own_selects_that_part_alone(kustomization: str) -> None:
    for name, selector in selectors(kustomization):
        assert chosen(selector, kustomization) == {name}


@each_kustomization
def test_parts_are_who_they_say(kustomization: str) -> None:
    for part, content in parts(kustomization).items():
        assert image_version(content["image"], part) == VERSION
        if part != "simulator":
            account = pods(kustomization)[part]["spec"]["serviceAccountName"]
            assert account == part
            assert named(kustomization, "ServiceAccount")[account]["automountServiceAccountToken"] is False


@each_kustomization
def test_policies_are_about_somebody(kustomization: str) -> None:
    """A policy with a wrong selector would silently protect no pod."""
    policies = named(kustomization, "NetworkPolicy")
    assert policies["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    bus = {*INGESTS, "aggregator", "candles", "gateway"}
    assert {name: chosen(policy["spec"]["podSelector"], kustomization) for name, policy in policies.items()}.items() >= {
        "dns": set(pods(kustomization)),
        "to-redis": bus,
        "to-exchanges": set(INGESTS),
        "to-gateway": {"gateway"},
        "to-metrics": bus,
    }.items()
    for policy in policies.values():
        listening = {
            port
            for name in chosen(policy["spec"]["podSelector"], kustomization)
            for open_port in container(pods(kustomization)[name])["ports"]
            for port in (open_port["name"], open_port["containerPort"])
        }
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= listening
            for peer in rule["from"]:
                assert "podSelector" not in peer or chosen(peer["podSelector"], kustomization)


def test_exchanges_are_let_out_to() -> None:
    [rule] = named("base", "NetworkPolicy")["to-exchanges"]["spec"]["egress"]
    needed = {
        urlsplit(url).port or 443
        for ingest in INGESTS
        for adapter in (importlib.import_module(f"{ingest.replace('-', '_')}.adapter").ADAPTER,)
        for url in (*adapter.ws_urls, *adapter.rest_urls)
    }
    assert needed == {port["port"] for port in rule["ports"]}


async def test_gateways_are_counted_by_what_they_tell() -> None:
    scaler = only("overlays/live", "HorizontalPodAutoscaler")["spec"]
    [metric] = scaler["metrics"]
    async with Reader.open("redis://127.0.0.1:1") as bus:
        told = {found.name for found in gateway_registry(Gateway(GatewaySettings(), bus)).collect()}
    assert metric["pods"]["metric"]["name"] in told
    adapter = yaml.safe_load((ROOT / "deploy/kubernetes/components/autoscaling/prometheus-adapter.yaml").read_text())
    assert adapter["rules"]["custom"][0]["seriesQuery"].startswith(metric["pods"]["metric"]["name"] + "{")
    target = named("overlays/live", "Deployment")[scaler["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
    assert named("base", "Deployment")["gateway"]["spec"]["replicas"] == scaler["minReplicas"]
    told_settings: Any = settings("overlays/live", "gateway")
    assert float(metric["pods"]["target"]["averageValue"]) < told_settings.max_streams


def test_streams_pass_the_route_without_end() -> None:
    *others, everything = only("overlays/live", "HTTPRoute")["spec"]["rules"]
    assert everything["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert everything["timeouts"]["request"] == "0s"
    [told] = everything["filters"][0]["requestHeaderModifier"]["set"]
    assert (told["name"].lower().encode(), told["value"].encode()) == (HEADER, HOLDS)
    service = named("overlays/live", "Service")["gateway"]
    for rule in (*others, everything):
        assert rule["backendRefs"] == [{"name": "gateway", "port": service["spec"]["ports"][0]["port"]}]
