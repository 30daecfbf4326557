"""The platform under test: `naru up` and ways to give it records."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.naru import Program


def _text(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


@dataclass
class Platform:
    """A running `naru up` that follows one file."""

    program: Program
    log: Path

    @property
    def url(self) -> str:
        return self.program.url("console")

    def write(self, *lines: str) -> None:
        """Appends lines to the file that is followed."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def send_log(self, body: str, severity: tuple[int, str], service: str, **attributes: str) -> None:
        """One record over OTLP/HTTP."""
        record = {
            "timeUnixNano": str(time.time_ns()),
            "severityNumber": severity[0],
            "severityText": severity[1],
            "body": {"stringValue": body},
            "attributes": [_text(key, value) for key, value in attributes.items()],
        }
        request = {
            "resourceLogs": [
                {
                    "resource": {"attributes": [_text("service.name", service)]},
                    "scopeLogs": [{"scope": {"name": "test"}, "logRecords": [record]}],
                }
            ]
        }
        with urllib.request.urlopen(
            urllib.request.Request(
                self.program.url("otlp-http") + "/v1/logs",
                json.dumps(request).encode(),
                {"Content-Type": "application/json"},
            ),
            timeout=20,
        ) as answer:
            assert answer.status == 200, answer.read()
