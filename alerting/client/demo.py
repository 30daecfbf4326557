#!/usr/bin/env python3
"""./dev demo failover: an order sender and two fake brokers. The main one begins to fail, the other takes over.

Starts `naru up` on free ports and an order sender (alerting/client/cpp/order_sender.cc), and prints what each of them
says with its time. Ends by itself, with 0 when the orders went over and nothing else switched.
"""

from __future__ import annotations

import http.server
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import datetime

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORDERS_A_SECOND = 100
FAILS_AFTER = 4.0
LASTS = 12


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S.%f}"[:-3], text, flush=True)


class Broker:
    """Takes orders on a port of its own, until it is told to fail."""

    def __init__(self, name: str) -> None:
        self.taken = self.refused = 0
        self.fails = False
        broker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 -- the library's name
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if broker.fails:
                    broker.refused += 1
                else:
                    broker.taken += 1
                self.send_response(500 if broker.fails else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        say(f"broker {name} takes orders at {self.url}")


def pass_on(stream: object, seen: list[str], wanted: tuple[str, ...]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        if any(word in line for word in wanted):
            say_line = line.rstrip()
            print(say_line if say_line[2:3] == ":" else shorten(say_line), flush=True)
            seen.append(say_line)


def shorten(line: str) -> str:
    """'2026-11-27T12:00:01.412Z info alerting: broker route main -> sub: ...' as the demo shows it."""
    stamp, _, rest = line.partition(" ")
    local = datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone()
    text = rest.split(": ", 1)[1]
    if " route " in text:
        target, change = text.split(" route ", 1)
        text = f"CRITICAL {target} {change}"
    return f"{local:%H:%M:%S.%f}"[:-3] + " " + text


def main() -> int:
    bin_directory = ROOT / "build" / "bin"
    main_broker, sub_broker = Broker("main"), Broker("sub")
    with tempfile.TemporaryDirectory(prefix="naru-demo-") as name:
        directory = pathlib.Path(name)
        (directory / "alerting.yaml").write_text(
            json.dumps(
                {
                    "targets": [
                        {
                            "name": "broker",
                            "routes": [
                                {"name": "main", "url": main_broker.url, "watch": "service.broker-main"},
                                {"name": "sub", "url": sub_broker.url, "watch": "service.broker-sub"},
                            ],
                        }
                    ],
                    "limits": {"orders": {"per_second": ORDERS_A_SECOND}},
                }
            )
        )
        ports = [part for flag in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin") for part in (f"--{flag}", "127.0.0.1:0")]
        arguments = ["up", "--data", str(directory / "data"), "--file", str(directory / "*.log"), "--alerting", str(directory / "alerting.yaml")]
        platform = subprocess.Popen([bin_directory / "naru", *arguments, *ports], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            endpoints = {}
            for line in platform.stdout:  # type: ignore[union-attr]
                if line.startswith("listening "):
                    _, what, address = line.split()
                    endpoints[what] = address
                if line.strip() == "ready":
                    break
            said: list[str] = []
            threading.Thread(target=pass_on, args=(platform.stderr, said, ("-> CRITICAL", " route ")), daemon=True).start()
            until_it_leads(endpoints["admin"])
            say(f"naru up is ready; status and routes at http://{endpoints['admin']}/v1/overview")
            sender = subprocess.Popen(
                [bin_directory / "naru-example-orders", endpoints["admin"], endpoints["otlp-http"], str(LASTS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            heard: list[str] = []
            listener = threading.Thread(target=pass_on, args=(sender.stdout, heard, ("orders",)))
            listener.start()
            time.sleep(FAILS_AFTER)
            say(f"broker main begins to fail ({main_broker.taken} orders taken); more than 100 failures in a minute are too many")
            main_broker.fails = True
            sender.wait()
            listener.join()
            say(f"main took {main_broker.taken} and refused {main_broker.refused}, sub took {sub_broker.taken}")
        finally:
            platform.send_signal(signal.SIGTERM)
            platform.wait()
        switched = [line for line in said if " route " in line]
        good = len(switched) == 1 and "main -> sub" in switched[0] and sub_broker.taken > 0 and 100 < main_broker.refused < 400
        say("the sender went over by itself" if good else f"this is not what should have happened: {switched}")
        return 0 if good else 1


def until_it_leads(admin: str) -> None:
    for _ in range(500):
        try:
            with urllib.request.urlopen(f"http://{admin}/v1/status", timeout=2):
                return
        except OSError:
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
