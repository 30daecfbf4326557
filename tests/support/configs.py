"""Configurations of the four programs for tests: what each must know, and else its defaults."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from .naru import write_config

Config = dict[str, Any]

_ANY_PORT = "127.0.0.1:0"
RULES = Path(__file__).resolve().parents[2] / "config" / "rules"


def agent(state: Path, collector: str, include: str, journal: Path | None = None) -> Config:
    """Reads the files of one pattern, and a journal directory if there is one; sends to `collector`."""
    config: Config = {
        "admin": {"address": _ANY_PORT},
        "state_dir": str(state),
        "collector": {"url": f"http://{collector}"},
        "files": [{"include": [include], "service_name": "tests"}],
    }
    if journal is not None:
        config["journald"] = {"enabled": True, "directory": str(journal), "from_start": True}
    return config


def collector(data: Path, kafka: str, grpc: str = _ANY_PORT, http: str = _ANY_PORT) -> Config:
    """Takes OTLP and syslog without authentication."""
    return {
        "admin": {"address": _ANY_PORT},
        "spill": {"directory": str(data / "spill")},
        "otlp_grpc": {"address": grpc},
        "otlp_http": {"address": http},
        "syslog": {"address": _ANY_PORT},
        "kafka": {"brokers": kafka},
    }


def declared(path: Path, **sections: Any) -> Config:
    """What a prepper's configuration says of its data sets: written to `path` (defaults, datasets, topics, ...)."""
    return {"datasets_file": str(write_config(path, sections))}


def own_topics(name: str) -> dict[str, str]:
    """Topics of a test's own for a prepper, so that it meets no other test's records."""
    return {part: f"{name}.{part}" for part in ("logs", "metrics", "traces", "dead_letters")}


def prepper(kafka: str, opensearch: str) -> Config:
    """One pipeline with default data sets."""
    return {
        "admin": {"address": _ANY_PORT},
        "kafka": {"brokers": kafka},
        "opensearch": {"urls": [opensearch]},
    }


def counting(rules: Path = RULES) -> Config:
    """For a prepper: it counts by the shipped rules, or those of another directory."""
    return {"count": {"rules": str(rules), "instance": f"test-{uuid.uuid4().hex[:8]}"}}


def alerting(kafka: str, rules: Path = RULES, **sections: Any) -> Config:
    """Decides by the shipped rules, or those of another directory."""
    return {
        "admin": {"address": _ANY_PORT},
        "kafka": {"brokers": kafka},
        "rules": {"directory": str(rules)},
        **sections,
    }
