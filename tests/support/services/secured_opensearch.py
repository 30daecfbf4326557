"""One OpenSearch node with its security plugin: TLS, and users with rights of their own."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from .jars import LOG4J_CONFIG, need, opensearch_classpath, opensearch_security
from .opensearch import HttpStatus
from .process import ServerProcess, ServiceError, free_ports, wait_ready

_PLUGIN = "org.opensearch.security.OpenSearchSecurityPlugin"
ADMIN = "operator"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Rights:
    """What a user may do: on the cluster, and on indices by pattern."""

    cluster: Sequence[str]
    indices: Mapping[str, Sequence[str]]


class SecuredOpenSearch:
    """Start, then use `url` with `ca`. Every user has PASSWORD; ADMIN may do everything.

    `expires_in`: seconds until the certificate that the node shows to HTTP clients ends. A node does not start with
    one that has ended, but goes on with it.
    """

    def __init__(self, directory: Path, users: Mapping[str, Rights], *, expires_in: float | None = None) -> None:
        self.directory = directory
        self.home = directory / "secured"
        self._http_port, transport = free_ports(2)
        self._java = need("java", "openjdk-17-jre-headless")
        self._openssl = need("openssl", "openssl")
        self._plugin = opensearch_security()
        self._classpath = f"{opensearch_classpath()}:{self._plugin}/*"
        config = self.home / "config"
        config.mkdir(parents=True)
        self.ca = config / "ca.pem"
        self._make_certificates(config, expires_in)
        self._configure(config / "opensearch-security", users)
        settings = {
            "path.home": str(self.home),
            "cluster.name": "naru-secured",
            "node.name": "secured",
            "network.host": "127.0.0.1",
            "http.port": str(self._http_port),
            "transport.port": str(transport),
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "plugins.security.ssl.transport.pemcert_filepath": "node.pem",
            "plugins.security.ssl.transport.pemkey_filepath": "node.key",
            "plugins.security.ssl.transport.pemtrustedcas_filepath": "ca.pem",
            "plugins.security.ssl.transport.enforce_hostname_verification": "false",
            "plugins.security.ssl.http.enabled": "true",
            "plugins.security.ssl.http.pemcert_filepath": "http.pem",
            "plugins.security.ssl.http.pemkey_filepath": "http.key",
            "plugins.security.ssl.http.pemtrustedcas_filepath": "ca.pem",
            "plugins.security.allow_default_init_securityindex": "true",
            "plugins.security.authcz.admin_dn": "CN=admin",
            "plugins.security.nodes_dn": "CN=node",
        }
        self.node = ServerProcess(
            "secured",
            [
                self._java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto",
                "-Dio.netty.allocator.type=unpooled", "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={LOG4J_CONFIG}", f"-Dnaru.plugins={_PLUGIN}",
                "-cp", self._classpath, "OpenSearchNode",
                *(f"{key}={value}" for key, value in settings.items()),
            ],
            directory / "secured.log",
            cwd=self.home,
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._http_port}"

    def __enter__(self) -> "SecuredOpenSearch":
        self.node.start()
        try:
            wait_ready([self.node], self._missing, 120, "the secured OpenSearch")
        except BaseException:
            self.node.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()

    def request(self, method: str, path: str, body: Any = None, user: str = ADMIN) -> Any:
        """One request, without looking at the node's certificate. Raises HttpStatus from 400 on."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {token}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as failure:
            raise HttpStatus(failure.code, failure.read().decode(errors="replace")) from None

    def _missing(self) -> str | None:
        try:
            health = self.request("GET", "/_cluster/health?timeout=1s")
        except (OSError, HttpStatus) as failure:
            return str(failure)
        return None if health["status"] in ("green", "yellow") else f"it is {health['status']}"

    def _run(self, *argv: str, cwd: Path) -> str:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServiceError(f"{' '.join(argv)}: {done.stderr}")
        return done.stdout

    def _make_certificates(self, config: Path, expires_in: float | None) -> None:
        def openssl(*arguments: str) -> None:
            self._run(self._openssl, *arguments, cwd=config)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=naru tests",
                "-keyout", "ca.key", "-out", "ca.pem")
        (config / "index").write_text("")
        (config / "serial").write_text("01\n")
        (config / "ca.conf").write_text(
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ncertificate=ca.pem\n"
            "private_key=ca.key\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
            "[ext]\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        for name in ("node", "http", "admin"):
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                    "-out", f"{name}.csr")
            dates = ["-startdate", "20200101000000Z"]
            if expires_in is not None and name == "http":
                end = datetime.now(timezone.utc) + timedelta(seconds=expires_in)
                dates += ["-enddate", f"{end:%Y%m%d%H%M%SZ}"]
            else:
                dates += ["-days", "3000"]
            openssl("ca", "-batch", "-config", "ca.conf", "-extensions", "ext", "-in", f"{name}.csr",
                    "-out", f"{name}.pem", "-notext", *dates)

    def _configure(self, directory: Path, users: Mapping[str, Rights]) -> None:
        shutil.copytree(self._plugin / "config", directory)
        hashed = self._run(
            self._java, "-Xmx128m", "-cp", self._classpath, "org.opensearch.security.tools.Hasher", "-p", PASSWORD,
            cwd=directory,
        ).splitlines()[-1]

        def write(name: str, kind: str, entries: Mapping[str, Any]) -> None:
            document = {"_meta": {"type": kind, "config_version": 2}, **entries}
            (directory / name).write_text(yaml.safe_dump(document))

        write("internal_users.yml", "internalusers", {user: {"hash": hashed} for user in (ADMIN, *users)})
        write("roles.yml", "roles", {
            f"role_of_{user}": {
                "cluster_permissions": list(rights.cluster),
                "index_permissions": [
                    {"index_patterns": [pattern], "allowed_actions": list(actions)}
                    for pattern, actions in rights.indices.items()
                ],
            }
            for user, rights in users.items()
        })
        write("roles_mapping.yml", "rolesmapping", {
            "all_access": {"users": [ADMIN]},
            **{f"role_of_{user}": {"users": [user]} for user in users},
        })
