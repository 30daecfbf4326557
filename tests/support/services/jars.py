"""The Java parts: jars by Maven and the OpenSearch node compiled by javac, in a cache outside the repository.

The first use downloads about 110 MB; later uses only look. Two runs at once are safe: a lock lets
the second wait, and a directory appears under its name only when it is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import ServiceError

_HERE = Path(__file__).resolve().parent
_NODE_SOURCE = _HERE / "java" / "OpenSearchNode.java"
LOG4J_CONFIG = _HERE / "java" / "log4j2.properties"


def cache_root() -> Path:
    """`$NARU_CACHE`, by default `~/.cache/naru`."""
    return Path(os.environ.get("NARU_CACHE") or Path.home() / ".cache" / "naru")


def kafka_classpath() -> str:
    """Class path of a Kafka broker and its tools."""
    return f"{_maven_jars('kafka')}/*"


def mirror_maker_classpath() -> str:
    """Class path of MirrorMaker 2."""
    return f"{_maven_jars('mirror-maker')}/*"


def opensearch_classpath() -> str:
    """Class path of `OpenSearchNode`."""
    jars = _maven_jars("opensearch")
    return f"{_compiled(_NODE_SOURCE, jars)}:{jars}/*"


def opensearch_security() -> Path:
    """The security plugin, unpacked: its jars, and its own `config/`."""
    zips = _maven_jars("opensearch-security")

    def fill(directory: Path) -> None:
        for archive in zips.glob("*.zip"):
            with zipfile.ZipFile(archive) as plugin:
                plugin.extractall(directory)

    return _once(f"plugins/{zips.name}", fill)


def need(program: str, package: str) -> str:
    """Path of a program; says which Debian package has it when it is missing."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/lib/systemd:/lib/systemd")
    if path is None:
        raise ServiceError(f"{program} is not installed: apt-get install {package}")
    return path


def _maven_jars(name: str) -> Path:
    pom = _HERE / "maven" / f"{name}.xml"

    def fill(directory: Path) -> None:
        _run(
            [
                need("mvn", "maven"), "--quiet", "--batch-mode", "--file", str(pom),
                "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}",
            ],
            f"Maven could not fetch the jars of {name} ({pom.name}); is the package repository reachable?",
        )

    return _once(f"jars/{name}-{_digest(pom)}", fill)


def _compiled(source: Path, jars: Path) -> Path:
    def fill(directory: Path) -> None:
        _run(
            [
                need("javac", "openjdk-17-jdk-headless"), "-proc:none", "-classpath", f"{jars}/*",
                "-d", str(directory), str(source),
            ],
            f"javac could not compile {source.name}",
        )

    return _once(f"classes/{source.stem}-{_digest(source)}-{jars.name}", fill)


def _once(name: str, fill: Callable[[Path], None]) -> Path:
    target = cache_root() / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / "lock"):
        if not target.exists():
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _run(argv: list[str], failure: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise ServiceError(f"{failure}\n{output}")
