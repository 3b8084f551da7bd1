""".env.example and compose.yaml speak of the settings that exist, and of no others."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from paylink import jobs, main
from paylink.config import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
COMPOSE_TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCESSES = [SERVICES[name] for name in ("app1", "app2", "worker")]
SETTINGS = {f"PAYLINK_{name.upper()}": field for name, field in Settings.model_fields.items()}


def as_text(value: object) -> str:
    """A default as one writes it into .env."""
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


def test_the_example_shows_every_setting_with_its_default() -> None:
    shown = {name: value for name, value in EXAMPLE.items() if name.startswith("PAYLINK_")}
    assert shown == {name: as_text(field.default) for name, field in SETTINGS.items()}


@pytest.mark.parametrize("name", [*SETTINGS, "all of them"])
def test_a_line_of_the_example_can_be_uncommented_as_it_stands(name: str, tmp_path: Path) -> None:
    lines = [f"{key}={value}" for key, value in EXAMPLE.items() if name in {key, "all of them"}]
    (tmp_path / ".env").write_text("\n".join(lines))
    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_compose_sets_only_what_exists() -> None:
    used = set(re.findall(r"\bPAYLINK_[A-Z_]+", COMPOSE_TEXT))
    assert used <= SETTINGS.keys()
    assert set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT)) <= EXAMPLE.keys()


def test_compose_gives_its_processes_time_to_finish() -> None:
    """The console, the jobs at hand and the checkout, one after the other; Docker's own patience is 10 s."""
    for service in PROCESSES:
        assert int(service["stop_grace_period"].removesuffix("s")) > 2 * main.DRAIN_S + jobs.DRAIN_S


def test_compose_believes_the_proxy_and_nobody_else() -> None:
    """What comes by a published port has an address of the network's, its gateway: every customer would be one."""
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    for service in PROCESSES:
        assert service["environment"]["PAYLINK_TRUSTED_PROXIES"] == network["subnet"]


def test_compose_has_no_default_secret() -> None:
    """Each ``${NAME}`` is required (``:?``); nothing that names a secret has a value of its own."""
    for reference in re.findall(r"(?<!\$)\$\{[^}]*\}", COMPOSE_TEXT):
        assert reference.endswith(":?}"), reference
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET", name):
                assert value.startswith("${"), name
            assert not re.search(r"//\w*:[^$@/]+@", value), name


def test_compose_is_two_nodes_a_worker_a_migration_and_their_stores() -> None:
    assert SERVICES.keys() == {"app1", "app2", "worker", "migrate", "postgres", "redis"}
    commands = {name: service.get("command") for name, service in SERVICES.items() if "build" in service}
    assert commands == {"app1": None, "app2": None, "worker": ["worker"], "migrate": ["migrate"]}
    # Workers can be scaled, so they name themselves; a name given here would be shared by all of them.
    names = [service["environment"].get("PAYLINK_NODE_ID") for service in PROCESSES]
    assert sorted(filter(None, names)) == ["app1", "app2"]
    assert all(service["depends_on"]["migrate"] for service in PROCESSES)


@pytest.mark.parametrize("name", SERVICES)
def test_compose_waits_only_for_what_can_become_ready(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


def test_compose_publishes_to_this_machine_only_and_no_port_twice() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.rsplit(":", 1)[0] for port in ports}) == len(ports)
    assert COMPOSE["volumes"].keys() == {"postgres"}
