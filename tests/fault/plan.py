"""What a campaign does, from its seed alone. Pure: no clock, no I/O."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of fault: how often, on whom, and how long it lasts."""

    weight: int
    victim: str
    fault: str
    seconds: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Step:
    """One cycle. `wait` is how long the victim works before, `which` picks among several victims of a kind; `clock_s` is the new offset of a clock step."""

    victim: str
    fault: str
    wait: float
    seconds: float
    which: int
    clock_s: float
    rotate: bool  # rotate a file while the fault is there


EMBEDDED = (
    Kind(76, "up", "kill", (0.0, 0.2)),
    Kind(10, "up", "stop", (0.1, 0.8)),
    Kind(6, "up", "disk-full", (0.2, 1.0)),
    Kind(2, "up", "disk-broken", (0.1, 0.3)),
    Kind(6, "up", "clock"),
)

# Weights: programs start in a moment, brokers and search nodes take seconds of two cores.
SERVICES = (
    Kind(14, "agent", "kill", (0.0, 1.0)),
    Kind(14, "collector", "kill", (0.0, 1.0)),
    Kind(14, "prepper", "kill", (0.0, 1.0)),
    Kind(16, "broker", "kill", (0.5, 3.0)),
    Kind(16, "search", "kill", (0.5, 3.0)),
    Kind(3, "agent", "stop", (0.5, 3.0)),
    Kind(4, "collector", "stop", (0.5, 4.0)),
    Kind(4, "prepper", "stop", (0.5, 5.0)),
    Kind(4, "broker", "stop", (1.0, 6.0)),
    Kind(4, "search", "stop", (1.0, 6.0)),
    Kind(3, "to-collector", "cut", (0.3, 2.0)),
    Kind(3, "to-kafka", "cut", (0.3, 3.0)),
    Kind(3, "to-search", "cut", (0.3, 2.0)),
    Kind(1, "to-collector", "slow", (1.0, 4.0)),
    Kind(1, "to-kafka", "slow", (1.0, 4.0)),
    Kind(1, "to-search", "slow", (1.0, 4.0)),
    Kind(1, "to-collector", "half-open", (0.5, 4.0)),
    Kind(1, "to-kafka", "half-open", (0.5, 4.0)),
    Kind(1, "to-search", "half-open", (0.5, 4.0)),
    Kind(3, "agent", "disk-full", (0.5, 2.0)),
    Kind(3, "collector", "disk-full", (0.5, 2.0)),
    Kind(4, "collector", "clock"),
)

CLOCK_S = 480.0  # within the ten minutes that a client's own time may differ: else its time is replaced by the receiver's


def steps(seed: int, kinds: Sequence[Kind], longest_wait: float = 3.0) -> Iterator[Step]:
    """The endless sequence of a seed: the same for every run."""
    dice = random.Random(seed)
    weights = [kind.weight for kind in kinds]
    while True:
        kind = dice.choices(kinds, weights)[0]
        yield Step(
            kind.victim,
            kind.fault,
            dice.random() ** 3 * longest_wait,  # mostly at once, sometimes late: each phase of a start is met
            dice.uniform(*kind.seconds),
            dice.randrange(1 << 16),
            dice.uniform(-CLOCK_S, CLOCK_S),
            dice.random() < 0.3,
        )
