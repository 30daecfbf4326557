"""The short forms of the fault campaigns. `./dev campaign` runs them as long as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fault.campaign import run_campaign


def test_naru_up_loses_and_doubles_nothing_through_200_kills(tmp_path: Path) -> None:
    run = run_campaign(embedded=True, cycles=250, kills=200, seed=11, directory=tmp_path, rate=100, check_every=70, longest_wait=1.0)
    assert run.verdict.clean(), run.line
    assert run.kills >= 200


def test_the_four_programs_on_real_services_lose_and_double_nothing_through_20_kills(tmp_path: Path) -> None:
    run = run_campaign(embedded=False, cycles=28, kills=20, seed=11, directory=tmp_path, rate=100, check_every=14, longest_wait=1.0)
    assert run.verdict.clean(), run.line
    assert run.kills >= 20


@pytest.mark.parametrize("stage", ["agent", "collector", "prepper", "writer"])
def test_a_record_that_a_stage_forgets_is_told_as_lost(tmp_path: Path, stage: str) -> None:
    run = run_campaign(  # seed 6 begins with a stop: a kill would make the stages read the forgotten record again
        embedded=True, cycles=1, seed=6, directory=tmp_path, rate=100, check_every=1, drain_s=10,
        unjudged=False,  # the forgotten record is one that is missed
        env={"NARU_FAULT": f"{stage}.drop_record:1"},
    )  # fmt: skip
    assert run.kills == 0
    assert len(run.verdict.lost) == 1
    assert " 1 lost, 0 doubled" in run.line
