"""Whether every record is accounted for, and whether a stage that forgets one is named (contracts.md 5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support import configs, otel
from support.naru import run
from support.path_cases import append, numbered
from support.platforms import FourPrograms, NaruUp, Platform
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster
from support.services.process import free_port

STAGES = ("agent", "collector", "prepper", "writer")


class OwnTopics(FourPrograms):
    """The ledger travels with commits: what another test's group counted must not be in it."""

    def __init__(
        self, directory: Path, kafka: KafkaCluster, opensearch: OpenSearchCluster, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(directory, kafka, opensearch, env)
        self._name = f"ledger{uuid.uuid4().hex[:8]}"
        self._topics = {signal: f"{self._name}.{signal}" for signal in ("logs", "metrics", "traces")}

    def _collector(self) -> configs.Config:
        return super()._collector() | {"topics": self._topics}

    def _prepper(self) -> configs.Config:
        return super()._prepper() | {"topics": self._topics, "consume": {"group": self._name, "commit_interval": "200ms"}}


def ledger(platform: Platform, *more: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]], str]:
    """Exit code, rows by stage and signal, and what it says of them."""
    targets = ",".join(program.endpoints["admin"] for program in platform.programs.values())
    done = run("naru", "ledger", "--targets", targets, "--output", "json", *more)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {(row["stage"], row["signal"]): row for row in rows}, done.stderr


def send_lines(platform: Platform, source: str, count: int, wanted: int) -> None:
    log = platform.log_file(source)
    append(log, numbered(source, 0, count))
    assert len(platform.await_file(log, wanted)) == wanted


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_naru_up_that_forgets_a_record_is_named_and_no_other(tmp_path: Path, stage: str) -> None:
    with NaruUp(tmp_path, {"NARU_FAULT": f"{stage}.drop_record:1"}) as platform:
        send_lines(platform, "forgotten", 200, 199)
        code, rows, sentence = ledger(platform)
    assert code == 1
    assert [key for key, row in rows.items() if not row["balanced"]] == [(stage, "logs")], rows
    assert [one for one in STAGES if f"stage {one} " in sentence] == [stage], sentence
    assert rows[stage, "logs"]["accepted"] == rows[stage, "logs"]["delivered"] + 1


def test_each_of_the_four_programs_that_forgets_a_record_is_named(
    tmp_path: Path, kafka: KafkaCluster, opensearch: OpenSearchCluster
) -> None:
    faults = ",".join(f"{stage}.drop_record:1" for stage in STAGES)
    with OwnTopics(tmp_path, kafka, opensearch, {"NARU_FAULT": faults}) as platform:
        send_lines(platform, "forgotten", 200, 196)
        code, rows, sentence = ledger(platform)
    assert code == 1
    assert [key for key, row in rows.items() if not row["balanced"]] == [(stage, "logs") for stage in STAGES], rows
    assert all(f"stage {stage} " in sentence for stage in STAGES), sentence


def test_the_ledger_of_naru_up_goes_on_after_kills(tmp_path: Path) -> None:
    with NaruUp(tmp_path) as platform:
        platform_goes_on(platform)


def test_the_ledger_of_the_four_programs_goes_on_after_kills(
    tmp_path: Path, kafka: KafkaCluster, opensearch: OpenSearchCluster
) -> None:
    with OwnTopics(tmp_path, kafka, opensearch) as platform:
        platform_goes_on(platform)


def platform_goes_on(platform: Platform) -> None:
    lines = 0
    for name, program in platform.programs.items():
        if name == "naru-alerting":
            continue
        append(platform.log_file("kills"), numbered("kills", lines, lines + 20_000))
        lines += 20_000
        program.kill()
        program.start()
    platform.await_file(platform.log_file("kills"), lines, timeout=120)
    otel.send_spans(platform.target("grpc"), otel.resource("ledger", "ledger"), 200)
    platform.await_dataset("traces", "ledger", 400)
    code, rows, sentence = ledger(platform)
    assert (code, sentence) == (0, ""), rows
    assert all(row["in_flight"] == 0 for row in rows.values()), rows
    for stage in STAGES:
        row = rows[stage, "logs"]
        assert row["lost"] == row["dropped"] == row["deadlettered"] == 0
        # What was in flight at a kill may be read, sent and written again. A collector that is killed forgets the
        # counts of its last second (docs/operations).
        assert row["delivered"] >= lines or stage == "collector", rows
    assert rows["agent", "logs"]["delivered"] == lines, rows


def test_wrong_targets_are_named(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with NaruUp(tmp_path) as platform:
        console = platform.up.endpoints["console"]
        for targets, code, words in (
            (nobody, 1, nobody),
            (console, 1, "it answers 404 to /metrics"),
            ("nonsense", 2, "nonsense"),
            ("", 2, "has no port"),
        ):
            done = run("naru", "ledger", "--targets", targets)
            assert (done.returncode, words in done.stderr + done.stdout) == (code, True), (targets, done)
