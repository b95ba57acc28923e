"""Measure this package and other clients side by side: `python -m benchmarks`.

`make bench` runs everything, which takes 30 minutes. To measure single rows quickly:

    python -m benchmarks --quick --rows text ainvoke --out /tmp/results

- `rows.py` lists the measurements and the goals; `measurements.py` has their functions.
- `clients.py` has the clients; `baselines.py` has lower bounds for every client.
- `runner.py` starts `server.py`, whose responses are in `workloads.py`, and one process of
  `worker.py` for each client.
- `cold_start.py` is the process whose whole duration is measured, from its start to the first
  token.
- `call_count.py` counts the function calls of this package. It measures no time.
- `report.py` writes the results. `charts.py` draws the charts from them; after a change of the
  charts, `python -m benchmarks.charts` does that without measuring again.
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
    parser.add_argument(
        "--rounds", type=int, help="rounds that are measured (default: depends on the row)"
    )
    parser.add_argument(
        "--out", type=Path, default=_FOLDER, help="output directory (default: benchmarks/)"
    )
    options = parser.parse_args()
    results = asyncio.run(
        run(options.rows, options.clients, is_quick=options.quick, rounds=options.rounds)
    )
    options.out.mkdir(parents=True, exist_ok=True)
    page = options.out / "results.md"
    page.write_text(report.render_markdown(results), "utf-8")
    print(f"wrote {page}")
    charts.write_charts(options.out)


if __name__ == "__main__":
    main()
