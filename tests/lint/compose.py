#!/usr/bin/env python3
"""Checks docker-compose.yml and the Dockerfile without a container engine.

    tests/lint/compose.py [REPOSITORY]      exit 0: in order; 1: every finding, one a line

Looks at: the form of the file; pinned images; mounted and copied files; health checks and what waits for them; ports,
topics and addresses against the configuration files; these files against `naru check`; what Prometheus and Grafana are
told; and whether the image has the libraries that the programs load.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml

_LISTENERS = ("otlp_grpc", "otlp_http", "syslog", "admin")
_PROGRAMS = ("agent", "collector", "prepper", "alerting")
# Ports of images that are not ours, by the beginning of the image's name.
_FOREIGN_PORTS = {
    "apache/kafka": {9092, 9093},
    "opensearchproject/opensearch:": {9200, 9300},
    "opensearchproject/opensearch-dashboards": {5601},
    "prom/prometheus": {9090},
    "grafana/grafana": {3000},
}
_STRINGS = {"type": "array", "items": {"type": "string"}}
_SERVICE = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string"},
        "build": {"type": "object", "required": ["context", "target"]},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "entrypoint": _STRINGS,
        "command": _STRINGS,
        "user": {"type": "string"},
        "environment": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "volumes": _STRINGS,
        "secrets": _STRINGS,
        "ports": _STRINGS,
        "ulimits": {"type": "object"},
        "healthcheck": {
            "type": "object",
            "required": ["test", "interval", "timeout", "retries"],
            "properties": {"test": {**_STRINGS, "minItems": 2}},
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["condition"],
                "properties": {"condition": {"enum": ["service_healthy", "service_completed_successfully"]}},
            },
        },
    },
}
_COMPOSE = {
    "type": "object",
    "required": ["name", "services", "volumes", "secrets"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string"},
        "services": {"type": "object", "additionalProperties": _SERVICE},
        "volumes": {"type": "object"},
        "secrets": {
            "type": "object",
            "additionalProperties": {"type": "object", "required": ["file"], "additionalProperties": False,
                                     "properties": {"file": {"type": "string"}}},
        },
    },
}


class Check:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.compose: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text())
        self.services: dict[str, Any] = self.compose.get("services", {})
        self.findings: list[str] = []

    def say(self, finding: str) -> None:
        self.findings.append(finding)

    def run(self) -> list[str]:
        for error in jsonschema.Draft202012Validator(_COMPOSE).iter_errors(self.compose):
            self.say(f"{'.'.join(map(str, error.absolute_path))}: {error.message}")
        if self.findings:
            return self.findings  # the rest would trip over it
        for name, service in self.services.items():
            self.image(name, service)
            self.mounts(name, service)
            self.waits(name, service)
            self.ports(name, service)
        self.secrets()
        self.addresses()
        self.topics()
        self.valid_configurations()
        self.scraped()
        self.data_sources()
        self.dockerfile()
        self.libraries()
        return self.findings

    def image(self, name: str, service: dict[str, Any]) -> None:
        tag = service["image"].rpartition(":")[2]
        if ":" not in service["image"] or tag in ("latest", "main", "nightly"):
            self.say(f"services.{name}.image: {service['image']} is not pinned to a version")
        if "build" not in service and service["image"].startswith("naru"):
            self.say(f"services.{name}: {service['image']} is on no registry and nothing builds it")
        plugins = service.get("environment", {}).get("GF_INSTALL_PLUGINS", "x 1")
        if not re.search(r" \d", plugins):
            self.say(f"services.{name}: plugin {plugins} is not pinned to a version")

    def mounts(self, name: str, service: dict[str, Any]) -> None:
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                if not (self.root / source).exists():
                    self.say(f"services.{name}.volumes: {source} is not in the repository")
                elif not mount.endswith(":ro"):
                    self.say(f"services.{name}.volumes: {source} is not mounted read-only")
            elif not source.startswith("/") and source not in self.compose["volumes"]:
                self.say(f"services.{name}.volumes: no volume {source} is declared")
        for secret in service.get("secrets", []):
            if secret not in self.compose["secrets"]:
                self.say(f"services.{name}.secrets: no secret {secret} is declared")

    def waits(self, name: str, service: dict[str, Any]) -> None:
        one_shot = service.get("restart") == "on-failure"
        if "healthcheck" not in service and not one_shot:
            self.say(f"services.{name}: no health check")
        for other, how in service.get("depends_on", {}).items():
            if other not in self.services:
                self.say(f"services.{name}.depends_on: no service {other}")
            elif how["condition"] == "service_healthy" and "healthcheck" not in self.services[other]:
                self.say(f"services.{name}.depends_on: {other} has no health check")

    def config_of(self, name: str) -> Path | None:
        """The configuration file that a service of ours is started with."""
        command = self.services[name].get("command", [])
        if "--config" not in command:
            return None
        inside = command[command.index("--config") + 1]
        for mount in self.services[name].get("volumes", []):
            source, _, rest = mount.partition(":")
            if rest.split(":")[0] == inside:
                return self.root / source
        self.say(f"services.{name}: {inside} is not mounted")
        return None

    def open_ports(self, name: str) -> set[int]:
        service = self.services[name]
        for image, ports in _FOREIGN_PORTS.items():
            if service["image"].startswith(image):
                return ports
        config = self.config_of(name)
        if config is None or not config.exists() or name == "bootstrap":
            return set()
        listeners = yaml.safe_load(config.read_text())
        return {
            int(listeners[one]["address"].rpartition(":")[2])
            for one in _LISTENERS
            if one in listeners and listeners[one]["address"].startswith("0.0.0.0:")
        }

    def ports(self, name: str, service: dict[str, Any]) -> None:
        opened = self.open_ports(name)
        for port in service.get("ports", []):
            host, _, inside = port.removesuffix("/udp").rpartition(":")
            if not host.startswith("127.0.0.1:"):
                self.say(f"services.{name}.ports: {port} is published beyond 127.0.0.1")
            if int(inside) not in opened:
                self.say(f"services.{name}.ports: nothing listens on {inside}; open are {sorted(opened)}")
        asked = " ".join(service.get("healthcheck", {}).get("test", []))
        for port in re.findall(r"localhost:(\d+)", asked):
            if int(port) not in opened:
                self.say(f"services.{name}.healthcheck: nothing listens on {port}; open are {sorted(opened)}")

    def secrets(self) -> None:
        made = (self.root / "config/compose/make-secrets.sh").read_text()
        for name, secret in self.compose["secrets"].items():
            if secret["file"] != f"./config/compose/secrets/{name}" or name not in made:
                self.say(f"secrets.{name}: config/compose/make-secrets.sh does not make {secret['file']}")
        for path, value in _texts(self.compose["services"]):
            if re.search(r"(?i)(password|secret|token)$", path) and not value.startswith("/run/secrets/"):
                self.say(f"services.{path}: a secret in the file itself")

    def reach(self, where: str, host: str, port: int) -> None:
        if host in ("localhost", "127.0.0.1"):
            return
        if host not in self.services:
            self.say(f"{where}: no service {host}")
        elif port not in self.open_ports(host):
            self.say(f"{where}: {host} does not listen on {port}")

    def addresses(self) -> None:
        for path in sorted((self.root / "config/compose").glob("*.yaml")):
            for key, value in _texts(yaml.safe_load(path.read_text())):
                if key.endswith("brokers"):
                    for broker in value.split(","):
                        host, _, port = broker.rpartition(":")
                        self.reach(f"{path.name}: {key}", host, int(port))
                elif value.startswith(("http://", "https://")):
                    url = urlsplit(value)
                    self.reach(f"{path.name}: {key}", url.hostname or "", url.port or 80)
                elif value.startswith("/run/secrets/"):
                    users = [
                        name for name in self.services if (config := self.config_of(name)) is not None and config == path
                    ]
                    for user in users:
                        if value.removeprefix("/run/secrets/") not in self.services[user].get("secrets", []):
                            self.say(f"{path.name}: {key}: service {user} is not given {value}")

    def topics(self) -> None:
        """Every program means the same topics, and the brokers can hold as many copies as are declared."""
        declared = yaml.safe_load((self.root / "config/compose/datasets.yaml").read_text()).get("topics", {})
        brokers = sum(service["image"].startswith("apache/kafka") for service in self.services.values())
        if declared.get("replication", 1) > brokers:
            self.say(f"datasets.yaml: replication {declared['replication']} on {brokers} brokers")
        if declared.get("min_insync_replicas", 0) >= declared.get("replication", brokers + 1):
            self.say("datasets.yaml: with min_insync_replicas as many as copies, one broker less stops everything")
        names = {}
        for program in ("collector", "prepper"):
            config = yaml.safe_load((self.root / f"config/compose/{program}.yaml").read_text())
            names[program] = config.get("topics", {})
        if names["collector"] != names["prepper"]:
            self.say(f"collector.yaml and prepper.yaml differ in topics: {names}")

    def valid_configurations(self) -> None:
        naru = self.root / "build/bin/naru"
        if not naru.exists():
            self.say(f"{naru.relative_to(self.root)} is missing: ./dev build")
            return
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            (place / "secrets").mkdir()
            for name in self.compose["secrets"]:
                (place / "secrets" / name).write_text("x\n")
            for path in sorted((self.root / "config/compose").glob("*.yaml")):
                text = path.read_text().replace("/run/secrets/", f"{place}/secrets/")
                text = text.replace("/etc/naru/pipelines", str(self.root / "config/pipelines"))
                text = text.replace("/etc/naru/rules", str(self.root / "config/rules"))
                text = text.replace("/var/log/host/", "/var/log/")  # mounted there
                (place / path.name).write_text(text.replace("/etc/naru/", f"{place}/"))
            for path in sorted(place.glob("*.yaml")):
                done = subprocess.run([naru, "check", path], capture_output=True, text=True)
                if done.returncode != 0:
                    self.say(f"config/compose/{path.name}: {done.stderr.strip()}")

    def scraped(self) -> None:
        config = yaml.safe_load((self.root / "dashboards/prometheus/prometheus.yml").read_text())
        found = set()
        for job in config["scrape_configs"]:
            for target in job["static_configs"][0]["targets"]:
                host, _, port = target.rpartition(":")
                self.reach(f"prometheus.yml: job {job['job_name']}", host, int(port))
                found.add(host)
        for name in self.services:
            if name.rstrip("-12") in _PROGRAMS and name not in found:
                self.say(f"prometheus.yml: {name} is not scraped")

    def data_sources(self) -> None:
        path = self.root / "dashboards/grafana/provisioning/datasources/naru.yaml"
        for source in yaml.safe_load(path.read_text())["datasources"]:
            url = urlsplit(source["url"])
            self.reach(f"{path.name}: {source['name']}", url.hostname or "", url.port or 80)
        provider = yaml.safe_load((self.root / "dashboards/grafana/provisioning/dashboards/naru.yaml").read_text())
        inside = provider["providers"][0]["options"]["path"]
        if not any(mount.split(":")[1] == inside for mount in self.services["grafana"]["volumes"]):
            self.say(f"provisioning/dashboards/naru.yaml: nothing is mounted at {inside}")
        hosts = json.loads(self.services["opensearch-dashboards"]["environment"]["OPENSEARCH_HOSTS"])
        for host in hosts:
            url = urlsplit(host)
            self.reach("opensearch-dashboards", url.hostname or "", url.port or 80)

    def dockerfile(self) -> None:
        text = (self.root / "Dockerfile").read_text().replace("\\\n", " ")
        stages = re.findall(r"^FROM (\S+) AS (\S+)", text, re.MULTILINE)
        for image, stage in stages:
            if ":" not in image or image.endswith(":latest"):
                self.say(f"Dockerfile: {image} is not pinned to a version")
        for name, service in self.services.items():
            target = service.get("build", {}).get("target")
            if target is not None and target not in {stage for _, stage in stages}:
                self.say(f"services.{name}.build: the Dockerfile has no stage {target}")
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
            parts = line.split()
            if parts[0].startswith("--from="):
                for source in parts[1:-1]:
                    program = Path(source).name
                    if not (self.root / "build/bin" / program).exists():
                        self.say(f"Dockerfile: no program {program} is built")
            else:
                for source in parts[:-1]:
                    if not (self.root / source).exists():
                        self.say(f"Dockerfile: COPY {source}: not in the repository")
        for name, service in self.services.items():
            started = service.get("entrypoint", ["/usr/local/bin/naru"])[0]
            if service["image"].startswith("naru") and f"build/bin/{Path(started).name} " not in text + " ":
                self.say(f"services.{name}: the image has no {started}")

    def libraries(self) -> None:
        """Every library that a program loads is of a package of the image, or of one that these need."""
        text = (self.root / "Dockerfile").read_text().replace("\\\n", " ")
        installed = set(re.findall(r"install -y --no-install-recommends\s+(.*?)\s+&&", text)[-1].split())
        closure = set(installed) | {"libc6", "libstdc++6", "libgcc-s1"}
        answer = subprocess.run(
            ["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
             "--no-replaces", "--no-enhances", *sorted(installed)],
            capture_output=True, text=True,
        )
        closure |= {line.strip() for line in answer.stdout.splitlines() if line and not line.startswith(" ")}
        libraries: dict[str, str] = {}  # file by who loads it
        for program in sorted((self.root / "build/bin").resolve().glob("naru*")):
            loaded = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
            for library in re.findall(r"=> (\S+)", loaded):
                libraries.setdefault(str(Path(library).resolve()), program.name)
        owners = subprocess.run(["dpkg", "-S", *libraries], capture_output=True, text=True).stdout
        for line in owners.splitlines():
            package, _, file = line.partition(": ")
            package = package.split(":")[0]
            if package not in closure:
                self.say(f"Dockerfile: {libraries[file]} loads {Path(file).name} of {package}, which the image lacks")


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside, with its dotted path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str):
        yield path, value


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    findings = Check(root).run()
    for finding in findings:
        print(finding, file=sys.stderr)
    print(f"docker-compose.yml, Dockerfile: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
