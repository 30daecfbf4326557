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
from benchmarks.measure import Figures, print_table  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], help="rows to run (default: all)", metavar="ROW")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of each row")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each row; medians are printed")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    results: list[Figures] = []
    for name in options.rows or list(ROWS):
        print(f"== {name}", file=sys.stderr, flush=True)
        runs = []
        for _ in range(options.repeat):
            with tempfile.TemporaryDirectory(prefix="naru-bench-") as directory:
                runs.append(ROWS[name](Path(directory), options.records))
        results.append(Figures.median(runs))
        print_table(results[-1:], file=sys.stderr)
    print_table(results)
    if options.json:
        options.json.write_text(json.dumps([figures.as_dict() for figures in results], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
