"""deploy/compose.yaml: what it opens, where its secrets come from, and whether it would notice that a server is down.
tests/test_pipeline.py runs its MLflow, with PostgreSQL and an S3 server of the tests."""

import re

import pytest
from servers import COMPOSE, composed

SERVICES = composed()["services"]
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")
SECRET = re.compile("PASSWORD|SECRET|TOKEN|ACCESS_KEY|ADMIN")


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_the_environment_and_has_no_default(name: str) -> None:
    secrets = {key: value for key, value in SERVICES[name]["environment"].items() if SECRET.search(key)}
    assert secrets
    assert {key: value for key, value in secrets.items() if not REQUIRED.fullmatch(value)} == {}


def test_no_address_holds_a_password() -> None:
    assert not re.search(r"://[^\s/@]+@", COMPOSE.read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_open_on_this_machine_alone(name: str) -> None:
    service = SERVICES[name]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))
    if "network_mode" in service:  # has all of the machine's ports: the program's own address decides
        assert "--node-ip-address=${RAY_NODE_IP:-127.0.0.1}" in service["command"]
        assert service["environment"]["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_a_fixed_version(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert re.search(r":v?\d+\.\d+", SERVICES[name]["image"])
    for line in SERVICES[name].get("build", {}).get("dockerfile_inline", "").splitlines():
        assert not line.startswith("FROM") or re.search(r":\d+\.\d+\.\d+", line)
        assert all("==" in package for package in re.findall("'(.+?)'", line))


def test_data_outlives_its_containers() -> None:
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(composed()["volumes"]) == {"postgres", "s3"}
