"""Measure this package and other clients side by side: `python -m benchmarks`.

`make bench` runs everything, which takes half an hour. For a quick look at single rows:

    python -m benchmarks --quick --rows text ainvoke --out /tmp/results

- `rows.py`: what is measured, and the goals; `measurements.py`: how.
- `clients.py`: the clients; `baselines.py`: lower bounds for any client.
- `runner.py` starts `server.py` (its responses are in `workloads.py`) and one `worker.py`
  process for each client.
- `call_count.py`: the function calls of this package, counted, not timed.
- `report.py` and `charts.py` write the results.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks import charts, report
from benchmarks.clients import CLIENTS
from benchmarks.rows import ROWS
from benchmarks.runner import CALL_COUNT, run

_FOLDER = Path(__file__).parent
_ROW_NAMES = [*ROWS, CALL_COUNT]


def main() -> None:
    """Parse the command line, measure, and write the tables and the charts."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this package and other clients side by side.",
        epilog=f"Rows: {' '.join(_ROW_NAMES)}. Clients: {'; '.join(CLIENTS)}.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="two rounds, with fewer streams and requests"
    )
    parser.add_argument(
        "--rows", nargs="+", choices=_ROW_NAMES, default=_ROW_NAMES, metavar="ROW"
    )
    parser.add_argument(
        "--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), metavar="CLIENT"
    )
    parser.add_argument("--rounds", type=int, help="figures per client (default: by row)")
    parser.add_argument(
        "--out", type=Path, default=_FOLDER, help="output directory (default: benchmarks/)"
    )
    options = parser.parse_args()
    results = asyncio.run(
        run(options.rows, options.clients, is_quick=options.quick, rounds=options.rounds)
    )
    options.out.mkdir(parents=True, exist_ok=True)
    files = {"results.md": report.render_markdown(results), **charts.render_charts(results)}
    for name, text in files.items():
        (options.out / name).write_text(text, "utf-8")
        print(f"wrote {options.out / name}")


if __name__ == "__main__":
    main()
