#!/usr/bin/env python3
"""Checks who may include whom: the allowed edges between modules, and which modules may see heavy libraries.

Exit 0 when every #include "..." of the tree follows EDGES and every library stays inside its modules; else 1 with
one line per offence."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["agent", "collector", "prepper", "alerting", "store"]
CORE = ["core/base", "core/telemetry", "core/config", "core/otlp", "core/flow", "core/expr", "core/spool", "core/syslog",
        "core/net", "core/bus", "core/program", "core/rules", "core/own_metrics"]

# module -> modules that it may include beside itself. A main.cc of a program may include all of core.
EDGES = {
    "core/base": [],
    "core/net": ["core/base"],
    "core/telemetry": ["core/base", "core/net"],
    "core/config": ["core/base"],
    "core/otlp": ["core/base"],
    "core/flow": ["core/base"],
    "core/expr": ["core/base"],
    "core/spool": ["core/base"],
    "core/syslog": ["core/base"],
    "core/bus": ["core/base", "core/spool", "core/telemetry", "core/otlp"],
    "core/program": ["core/base", "core/bus", "core/config", "core/net", "core/telemetry"],
    "core/own_metrics": ["core/base", "core/config", "core/net", "core/otlp", "core/program", "core/telemetry"],
    "core/rules": ["core/base", "core/config", "core/otlp"],
    "console": ["core/base", "core/net"],
    **{program: CORE for program in PROGRAMS},
    "naru": CORE + PROGRAMS + ["console"],
}
MAIN_EDGES = CORE + ["console"]

# A library's headers -> where they may be included.
LIBRARIES = {
    r"boost/(asio|beast)|^boost/beast": ["core/net/"],
    r"librdkafka/": ["core/bus/kafka/"],
    r"prometheus/": ["core/telemetry/"],
    r"grpc": ["core/net/"],
    r"rocksdb/": ["store/"],
    r"systemd/": ["agent/journald/"],
    r"yaml-cpp/": ["core/config/"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)


def module_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "core" else parts[0]


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.h", "*.cc"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.split()
    offences = []
    for path in listed:
        module = module_of(path)
        if module not in EDGES or not (ROOT / path).exists():
            continue  # tests and benchmarks may include everything
        allowed = EDGES[module] + (MAIN_EDGES if path.endswith("/main.cc") else [])
        for kind, name in INCLUDE.findall((ROOT / path).read_text(errors="replace")):
            target = module_of(name)
            if kind == '"' and target != module and target not in allowed:
                offences.append(f"{path}: may not include {name}: the edge {module} -> {target} is not allowed")
            for library, places in LIBRARIES.items():
                if re.search(library, name) and kind == "<" and not any(path.startswith(p) for p in places):
                    offences.append(f"{path}: may not include <{name}>: only {', '.join(places)} may")
    print("\n".join(offences) if offences else f"layers: {len(listed)} files, every include is allowed")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
