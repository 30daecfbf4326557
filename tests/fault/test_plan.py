"""The plan of a campaign comes from its seed alone and meets every fault."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from fault.plan import CLOCK_S, EMBEDDED, SERVICES, Kind, steps


def test_a_seed_gives_the_same_plan_again_and_another_seed_another_one() -> None:
    first, again, other = (list(islice(steps(seed, SERVICES), 100)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kinds", [EMBEDDED, SERVICES])
def test_three_hundred_cycles_meet_every_kind(kinds: tuple[Kind, ...]) -> None:
    met = {(step.victim, step.fault) for step in islice(steps(7, kinds), 300)}
    assert met == {(kind.victim, kind.fault) for kind in kinds}


def test_brokers_and_search_nodes_are_often_the_victims() -> None:
    victims = Counter(step.victim for step in islice(steps(1, SERVICES), 2000))
    assert victims["broker"] / 2000 >= 0.15
    assert victims["search"] / 2000 >= 0.15


def test_durations_and_clocks_stay_within_their_bounds() -> None:
    bounds = {(kind.victim, kind.fault): kind.seconds for kind in SERVICES}
    for step in islice(steps(3, SERVICES, longest_wait=2.0), 2000):
        low, high = bounds[(step.victim, step.fault)]
        assert low <= step.seconds <= high
        assert 0 <= step.wait <= 2.0
        assert -CLOCK_S <= step.clock_s <= CLOCK_S
