"""Measure everything, side by side: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks import charts, report
from benchmarks.rows import ROWS
from benchmarks.run import run
from benchmarks.subjects import SUBJECTS

HERE = Path(__file__).parent


def main() -> None:
    """Run what the command line asks for; write the table and the charts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small rounds of each row")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument(
        "--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), metavar="NAME"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="where the results go")
    given = parser.parse_args()
    results = asyncio.run(run(given.rows, given.subjects, quick=given.quick))
    given.out.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "results.md": report.to_markdown(results),
        **charts.draw(results),
    }.items():
        (given.out / name).write_text(text, "utf-8")
        print(f"wrote {given.out / name}")


if __name__ == "__main__":
    main()
