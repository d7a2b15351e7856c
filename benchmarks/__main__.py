"""The harness: `python -m benchmarks`, or `make bench`, which has first got what it measures."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import machine, versions
from benchmarks.drawing import draw
from benchmarks.figures import QUICK, WHOLE, Missing, Scale
from benchmarks.measures import MEASURES, Measure
from benchmarks.report import Result, Run, as_json, lines, page


def main() -> None:
    """Measure, print what was found, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Understudy beside others.")
    names = ", ".join(measure.name for measure in MEASURES)
    parser.add_argument("--rows", nargs="+", metavar="NAME", help=f"what is measured; default: all of {names}")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds and less of everything, for a look")
    parser.add_argument("--out", type=Path, default=Path(".bench"), metavar="FOLDER", help="default: %(default)s")
    options = parser.parse_args()
    if unknown := set(options.rows or ()) - {measure.name for measure in MEASURES}:
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {names}")
    chosen = [measure for measure in MEASURES if options.rows is None or measure.name in options.rows]
    for number in (signal.SIGINT, signal.SIGTERM):  # what was started is stopped on the way out
        signal.signal(number, lambda *_: sys.exit("stopped"))
    run = _measured(chosen, QUICK if options.quick else WHOLE)
    write(run, options.out)
    sys.exit(1 if any(isinstance(result.found, Missing) and result.found.failed for result in run.results) else 0)


def _measured(measures: Sequence[Measure], scale: Scale) -> Run:
    date, where, what = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), machine(), versions()
    print(f"{date}, {where}; {scale.name}", flush=True)
    return Run(date, where, what, scale.name, list(_results(measures, scale)))


def _results(measures: Sequence[Measure], scale: Scale) -> Iterator[Result]:
    for measure in measures:
        try:
            result = Result(measure, measure.run(scale))
        except (RuntimeError, OSError) as error:
            result = Result(measure, Missing(" ".join(str(error).split())[:300], failed=True))
        print("\n".join(lines(result)), flush=True)
        yield result


def write(run: Run, folder: Path) -> None:
    """Write a run into a folder: as JSON, as a drawing, and into the page where there is one."""
    folder.mkdir(exist_ok=True)
    (folder / "performance.json").write_text(as_json(run), encoding="utf-8")
    (folder / "performance.svg").write_text(draw(run), encoding="utf-8")
    document = folder / "performance.md"
    if document.exists():
        document.write_text(page(document.read_text(encoding="utf-8"), run, "performance.svg"), encoding="utf-8")
    print(f"\nwritten: {folder / 'performance.json'}, {folder / 'performance.svg'}")


if __name__ == "__main__":
    main()
