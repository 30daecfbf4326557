#!/usr/bin/env python3
"""Kills, stops, cuts off and starves Naru while it works, and proves that no record is lost and none is doubled.

    ./dev campaign --cycles 300 --seed 7              the four programs, three Kafka brokers, three OpenSearch nodes
    ./dev campaign --embedded --cycles 1000 --seed 7  `naru up`

A cycle counts only when a record was in flight at its victim. Ends with one line and with exit code 0 when every record
is there exactly once with exactly its bytes, 1 when not; then the directory with all data and logs is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):
    sys.path.insert(0, str(TESTS))

from fault.load import UNJUDGED, Load, Notes  # noqa: E402
from fault.plan import EMBEDDED, SERVICES, Step, steps  # noqa: E402
from fault.services import RealServices  # noqa: E402
from fault.targets import Embedded, Target  # noqa: E402
from fault.verdict import Found, Verdict, judge  # noqa: E402
from support.naru import NaruError, eventually  # noqa: E402
from support.services.opensearch import HttpStatus  # noqa: E402

_IN_FLIGHT_S = 60.0
_RECOVERED_S = 300.0
_LOOK_EVERY = 10  # cycles between two looks at the backlog
_BACKLOG_S = 30.0  # of the load's rate: more is waited for before the next fault
_WHOLE_EVERY = 5  # of the checks reads everything back, the others count


class Campaign:
    """One run. `say` gets a line of progress for each cycle."""

    def __init__(
        self,
        target: Target,
        notes: Notes,
        load: Load,
        plan: Iterator[Step],
        rate: float,
        drain_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._target = target
        self._notes = notes
        self._load = load
        self._steps = plan
        self._drain_s = drain_s
        self._backlog_max = rate * _BACKLOG_S
        self._say = say
        self._checks = 0
        self.records = 0  # at the last check
        self.cycles = 0
        self.uncounted = 0

    def run(self, cycles: int, kills: int, check_every: int) -> Verdict:
        """Until `cycles` counted and `kills` killed; checked every `check_every` cycles and judged at the end.

        Stops at the first fault found.
        """
        verdict = Verdict()
        last = False
        while not last and verdict.clean():
            if not self._cycle(next(self._steps)):
                self.uncounted += 1
                if self.uncounted > cycles + 20:
                    raise NaruError(f"{self.uncounted} cycles met no record in flight: the load does not arrive")
                continue
            self.cycles += 1
            last = self.cycles >= cycles and self._target.kills >= kills
            if last or self.cycles % check_every == 0:
                self._checks += 1
                verdict = self._check(whole=last or self._checks % _WHOLE_EVERY == 0)
            elif self.cycles % _LOOK_EVERY == 0:
                self._bound_backlog()
        return verdict

    def _cycle(self, step: Step) -> bool:
        time.sleep(step.wait)
        eventually(lambda: self._target.recovered(step), _RECOVERED_S, f"{step.victim} recovered", every=0.2)
        deadline = time.monotonic() + _IN_FLIGHT_S
        while (held := self._target.in_flight(step, self._load)) <= 0:
            if time.monotonic() > deadline:
                self._say(f"cycle {self.cycles + 1}: nothing in flight at {step.victim} within {_IN_FLIGHT_S:.0f} s")
                return False
            time.sleep(0.005)
        if step.rotate:
            self._load.rotate()
        begin = self._notes.now()
        what = f"cycle {self.cycles + 1}: {step.victim} {step.fault}"
        if step.fault == "clock":
            what += f" {step.clock_s:+.0f} s"
        self._notes.event(f"{what} begins")
        self._target.inflict(step)
        self._notes.event(f"{what} done")
        self._say(f"{what}, {held:.0f} in flight, {self._notes.now() - begin:.2f} s, "
                  f"{len(self._notes.sent)} sent, {self._notes.now():.0f} s")  # fmt: skip
        return True

    def _bound_backlog(self) -> None:
        def backlog() -> float:
            try:
                return len(self._notes.sent) - self._target.count()
            except (OSError, HttpStatus, AssertionError):
                return 0  # the store is away: nobody can tell
        if (behind := backlog()) > self._backlog_max:
            begin = self._notes.now()
            eventually(lambda: backlog() < self._backlog_max / 2, self._drain_s, f"a backlog of {behind} records shrinks", every=0.5)
            self._say(f"waited {self._notes.now() - begin:.1f} s for a backlog of {behind} records")

    def _check(self, whole: bool) -> Verdict:
        """Lets everything arrive; then counts it, and reads it back when `whole` or when the count is wrong."""
        begin = self._notes.now()
        self._target.settle()
        self._load.pause(self._drain_s)
        try:
            if self._load.refusals:
                raise NaruError(f"clients were refused: {self._load.refusals[:3]}")
            verdict, how = self._arrived(whole)
        finally:
            self._load.resume()
        self._say(f"checked after cycle {self.cycles} ({how}): {self.records} records, {verdict}, "
                  f"{self._notes.now() - begin:.1f} s")  # fmt: skip
        return verdict

    def _arrived(self, whole: bool) -> tuple[Verdict, str]:
        deadline = time.monotonic() + self._drain_s
        expected = self.records = len(self._notes.sent)
        while True:
            there = self._wait_for(expected, min(max(deadline - time.monotonic(), 0), 20))
            if there == expected and not whole:
                return Verdict(), "counted"
            if there >= expected or time.monotonic() > deadline:
                verdict = judge(self._notes.sent, self._found())
                if not verdict.lost or time.monotonic() > deadline:
                    return verdict, "read back"

    def _wait_for(self, expected: int, seconds: float) -> int:
        """Documents that are there once they are enough and nothing is in flight, or when the time is over."""
        there = 0

        def all_there() -> bool:
            nonlocal there
            there = self._target.count()
            return there >= expected and self._target.unfinished() == 0

        with contextlib.suppress(NaruError):
            eventually(all_there, seconds, "all documents", every=0.3)
        return there

    def _found(self) -> Iterator[Found]:
        for texts in (self._target.documents(), self._target.dead_letters()):
            for text, place in texts:
                key = self._notes.key_of(text)
                if key is None or key[0] not in UNJUDGED:
                    yield Found(key, text, place)


def final_line(cycles: int, kills: int, records: int, verdict: Verdict, seed: int) -> str:
    """The line that a campaign ends with. A changed record is lost: its bytes are not there."""
    lost = len(set(verdict.lost) | set(verdict.changed))
    return (
        f"campaign: {cycles} cycles, {kills} kills, {records} records, {lost} lost, {len(verdict.doubled)} doubled, seed {seed}"
    )


@dataclass(frozen=True)
class Run:
    """How a campaign ended."""

    line: str
    verdict: Verdict
    kills: int


def run_campaign(
    *,
    embedded: bool,
    cycles: int,
    kills: int = 0,
    seed: int,
    directory: Path,
    rate: float,
    check_every: int,
    longest_wait: float = 3.0,
    drain_s: float = 180.0,
    say: Callable[[str], None] = print,
    unjudged: bool = True,
    env: dict[str, str] | None = None,
) -> Run:
    """A whole campaign of at least so many cycles and kills. `env` goes to every program of Naru; `drain_s` bounds the wait for what was sent;
    `unjudged`: records without identity, of which nothing is checked, are sent too."""
    target: Target = Embedded(directory, EMBEDDED, env) if embedded else RealServices(directory, SERVICES, env)
    notes = Notes(f"run{seed:x}", seed)
    with target:
        load = Load(notes, target.log_root, target.otlp_http, target.syslog_udp,
                    rate=rate, journal=target.journal, unjudged=unjudged, seed=seed)  # fmt: skip
        with load:
            campaign = Campaign(target, notes, load, steps(seed, target.kinds, longest_wait), rate, drain_s, say)
            verdict = campaign.run(cycles, kills, check_every)
            say(f"{load.rotations_done} rotations, {campaign.uncounted} cycles that met nothing in flight; "
                f"{notes.unjudged} records without identity were sent beside these")  # fmt: skip
            if not verdict.clean():
                say(verdict.details(notes.about))
    return Run(final_line(campaign.cycles, target.kills, campaign.records, verdict, seed), verdict, target.kills)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev campaign", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--embedded", action="store_true", help="`naru up` instead of the four programs on real services")
    parser.add_argument("--cycles", type=int, required=True, help="cycles that count")
    parser.add_argument("--seed", type=int, help="repeats the plan of an earlier run (default: a new one)")
    parser.add_argument("--rate", type=float, default=300, help="records a second over all sources")
    parser.add_argument("--check-every", type=int, default=50, metavar="N", help="read everything back after N cycles")
    parser.add_argument("--keep", type=Path, help="directory for data and logs, kept (default: a new one, removed if all is well)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
    directory = options.keep or Path(tempfile.mkdtemp(prefix="naru-campaign-"))
    print(f"seed {seed}, data and logs in {directory}", file=sys.stderr, flush=True)
    run = run_campaign(
        embedded=options.embedded, cycles=options.cycles, seed=seed, directory=directory, rate=options.rate,
        check_every=options.check_every, say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    if run.verdict.clean():
        if options.keep is None:
            shutil.rmtree(directory)
    else:
        print(f"kept: {directory}", file=sys.stderr)
    print(run.line, flush=True)
    return 0 if run.verdict.clean() else 1


if __name__ == "__main__":
    sys.exit(main())
