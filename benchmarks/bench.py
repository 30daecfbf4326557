#!/usr/bin/env python3
"""Whole-program benchmark rows: prints MB/s, records/s, CPU-seconds per million records and peak RSS of Naru's own
processes, with the records counted at the far end. Method: benchmarks/README.md. Not a test: nothing is judged.

    ./dev bench                    every row
    ./dev bench agent prepper      these rows
    ./dev bench --records N ...    another amount of work
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rows import ROWS  # noqa: E402
from benchmarks.measure import Figures, cost_of_guarantee, print_table  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], help="rows to run (default: all)", metavar="ROW")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of each row")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each row; medians are printed")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    names = options.rows or list(ROWS)
    runs: dict[str, list[Figures]] = {name: [] for name in names}
    for turn in range(options.repeat):  # turn by turn, so that what else the machine does meets every row alike
        for name in names:
            print(f"== {name}, run {turn + 1} of {options.repeat}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="naru-bench-") as directory:
                runs[name].append(ROWS[name](Path(directory), options.records))
            print_table(runs[name][-1:], file=sys.stderr)
    results = [Figures.median(runs[name]) for name in names]
    print_table(results)
    for name in names:
        if (without := runs.get(f"{name}_unacknowledged")) is not None:
            print(cost_of_guarantee(name, runs[name], without))
    if options.json:
        options.json.write_text(json.dumps([figures.as_dict() for figures in results], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
