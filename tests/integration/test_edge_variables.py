"""Wrong values of the edge's and the bus's variables: each is refused at start by name, or HAProxy accepts the result."""

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.docker import no_docker
from support.nonsense import NONSENSE
from support.parts import ROOT

IMAGE = "haproxy:3.0"
FOLDER = "/usr/local/etc/haproxy"
# Tries each text in /texts, where each ends with NUL; prints the exit code and the output of the check.
DRIVER = f"""
while IFS= read -r -d '' text; do
  said=$(env "$VARIABLE=$text" bash {FOLDER}/start -c 2>&1 >/dev/null); printf '%s\\0%s\\0' $? "$said"
done </texts
"""
NUMBERS = sorted(
    variable
    for variable in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["edge"]["environment"]
    if variable.startswith("EDGE_MAX_")
)
NETWORKS = ["10.0.0.0/8", " 10.0.0.0/8  ::1 ", "2001:db8::/32 192.0.2.1", "::ffff:1.2.3.4", "1.2.3.4/32"]
NO_NETWORKS = [
    "10.0.0.0/33",
    "1.2.3.256",
    "proxy",
    "10.0.0.0/8,::1",
    ":::",
    "1::2::3",
    "::1/129",
    "-f",
    "-f /etc/passwd",
    "10.0.0.1/",
    "1:2",
]


def tried(variable: str, texts: list[str], tmp_path: Path, *options: str) -> Iterator[tuple[str, int, str]]:
    """Yield each text with the exit code and the output that it causes."""
    listed = tmp_path / "texts"
    listed.write_bytes(b"".join(os.fsencode(text.encode("utf-8", "surrogateescape")) + b"\0" for text in texts))
    edge = ROOT / "deploy/edge"
    command = [
        "docker", "run", "--rm", "--user", "10001:10001", "--read-only", "--network", "none", "--add-host", "gateway:127.0.0.1",
        "--env", f"VARIABLE={variable}", "--volume", f"{listed}:/texts:ro", "--volume", f"{edge}/start:{FOLDER}/start:ro",
        "--volume", f"{edge}/haproxy.cfg:{FOLDER}/haproxy.cfg:ro", *options, IMAGE, "bash", "-c", DRIVER,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, timeout=100)
    answers = iter(done.stdout.decode(errors="replace").split("\0")[:-1])
    for text, (code, said) in zip(texts, zip(answers, answers, strict=True), strict=True):
        yield text, int(code), said


def is_refused(variable: str, code: int, said: str) -> bool:
    if code == 0:
        return False
    assert code == 78, said
    assert re.fullmatch(f"configuration: {variable}: .+", said), said
    return True


@pytest.mark.docker
@pytest.mark.skipif(no_docker() is not None, reason=str(no_docker()))
class TestEdge:
    @pytest.mark.parametrize("variable", NUMBERS)
    def test_numbers(self, variable: str, tmp_path: Path) -> None:
        """HAProxy reads nonsense as 0, and 0 would refuse all clients."""
        good = ["1", "200", "1000000"]
        for text, code, said in tried(variable, [*NONSENSE, *good, "1000001", "0200", "1e3"], tmp_path):
            assert is_refused(variable, code, said) == (text not in {"", *good}), (text, said)

    def test_networks(self, tmp_path: Path) -> None:
        variable = "EDGE_TRUSTED_PROXIES"
        accepted = []
        for text, code, said in tried(variable, [*NONSENSE, *NETWORKS, *NO_NETWORKS], tmp_path):
            if not is_refused(variable, code, said):
                accepted.append(text)
                for network in text.split():
                    ipaddress.ip_network(network, strict=False)
        assert set(NETWORKS) <= set(accepted)
        assert not set(NO_NETWORKS) & set(accepted)

    def test_all_that_is_wrong_is_said(self, tmp_path: Path) -> None:
        options = ["--env", "EDGE_TRUSTED_PROXIES=proxy"]
        [(_, code, said)] = tried("EDGE_MAX_REQUESTS_PER_S", ["many"], tmp_path, *options)
        assert code == 78
        assert [line.split(": ")[1] for line in said.splitlines()] == ["EDGE_MAX_REQUESTS_PER_S", "EDGE_TRUSTED_PROXIES"]

    @pytest.mark.parametrize("kind", ["whole", "without key", "garbage", "empty", "folder", "not to be read", "missing"])
    def test_certificates(self, kind: str, tmp_path: Path) -> None:
        pem = tmp_path / "edge.pem"
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here", "-keyout", tmp_path / "key", "-out", "-"],
            capture_output=True, check=True, timeout=30,
        ).stdout  # fmt: skip
        content = {
            "whole": made + (tmp_path / "key").read_bytes(),
            "without key": made,
            "garbage": b"certificate",
            "empty": b"",
        }
        if kind == "folder":
            pem.mkdir()
        elif kind != "missing":
            pem.write_bytes(content.get(kind, content["whole"]))
            pem.chmod(0o600 if kind == "not to be read" else 0o644)
        mounted = [] if kind == "missing" else ["--volume", f"{pem}:/run/secrets/edge.pem:ro"]
        [(_, code, said)] = tried("EDGE_TLS", ["1"], tmp_path, "--env", "TLS_PORT=8443", *mounted)
        assert is_refused("TLS_CERTIFICATE", code, said) == (kind != "whole"), said


@pytest.mark.parametrize("variable", ["REDIS_READER_PASSWORD", "REDIS_PORT", "REDIS_AT"])
def test_users_of_the_bus(variable: str, tmp_path: Path) -> None:
    """Test Compose's service `users`, if it can run here."""
    good = {"REDIS_READER_PASSWORD": "a-Z_9", "REDIS_PORT": "65535", "REDIS_AT": "redis+sentinel://[::1]:26379,h/m"}[variable]
    for number, text in enumerate([*NONSENSE, good]):
        folder = tmp_path / str(number)
        done = subprocess.run(
            [ROOT / "deploy/redis/make-users", folder], capture_output=True, check=False, timeout=30,
            env={**os.environ, variable: text}, encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        if is_refused(variable, done.returncode, done.stderr.strip()):
            assert text not in {"", good}
            assert not folder.exists()
        else:
            assert (folder / "reader/redis_url").read_text()
            assert re.fullmatch(r"[!-~]*", text), text
