"""Run the worked example: `make run`, or `python -m examples.flights --months 8`."""

import argparse
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from components.foundation.errors import FalajError
from examples.flights.example import CANARY_MONTH, Example
from examples.flights.told import TITLE
from pipelines import story
from pipelines.commands import screen
from pipelines.commands.screen import Screen
from pipelines.journal import Journal
from pipelines.laptop import session
from pipelines.laptop.memo import Memo, Outcome, Work
from pipelines.laptop.runner import LocalRunner, code_digest
from pipelines.place import Place
from pipelines.records import Records


def main(argv: Sequence[str] | None = None) -> int:
    """Run every stage that has news, then write the report."""
    options = _options(argv)
    told, began, code = screen.chosen(options), time.monotonic(), code_digest()
    try:
        place = Place.here(options.site)
        told.say(place.hold())
        if session.begin(options.out / "laptop", code):
            told.say("the code has changed since the last run: starting over")
        with told.working(), session.running(options.out / "laptop") as laptop:
            memo = Memo(laptop.folder / "done", code)
            environment = {**place.site.environment(), **laptop.environment}
            runner = LocalRunner(
                laptop.folder / "runs",
                environment,
                audience=told,
                site=place.site,
                expects=("tensorflow", "torch"),  # a champion, and its challenger
            )
            runner.warm_up()
            journal = Journal.begin(Records(runner.folder), "flights", TITLE)
            runner.project, runner.job = "flights", journal.job.id
            _Job(Example(laptop, runner, place), memo, journal, told).run(options.months)
            report = story.write(options.out / "report.html", journal.job, laptop)
    except FalajError as error:
        told.failed(error)
        print(f"stopped: {error.shown}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        told.end("interrupted; everything is stopped, the next run goes on from here")
        return 130
    told.end(f"\n{time.monotonic() - began:.0f} s. Report: {report}")
    told.say("`make serve` leaves the champion up and prints a request to try.")
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.flights", description=__doc__)
    parser.add_argument("--months", type=int, default=12, choices=range(CANARY_MONTH, 13))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    site = "a site file, or the name of one in pipelines/sites"
    parser.add_argument("--site", default="laptop", help=site)
    screen.options(parser)
    return parser.parse_args(argv)


class _Job:
    """The stages in order; each is done once for the same code and inputs."""

    def __init__(self, example: Example, memo: Memo, journal: Journal, told: Screen) -> None:
        self._example, self._memo, self._journal, self._told = example, memo, journal, told

    def run(self, months: int) -> None:
        example = self._example
        self._stage("Set up the sources", [], example.set_up_sources)
        first = self._train("tensorflow")
        self._stage("Deploy the first champion", first, lambda: example.deploy_first(first))
        better = self._train("torch")
        self._three_candidates(first, better)
        self._stage("Try forgeries", better, lambda: example.try_forgeries(first, better))
        for month in range(CANARY_MONTH + 1, months + 1):
            self._production(month)
            if month == CANARY_MONTH + 1:  # the labels of the canary's month have come
                self._stage("Collect live observations", better, example.collect)
                self._stage("Monitor the endpoint", better, example.monitor_live)

    def _train(self, framework: str) -> str:
        done = self._stage(f"Train with {framework}", [], lambda: self._example.train(framework))
        return str(done.result["release"])

    def _three_candidates(self, first: str, better: str) -> None:
        """Show month 7's traffic three candidates: better, faulty, tampered."""
        example = self._example
        scored = self._stage("Score month 7", first, lambda: example.score(CANARY_MONTH))
        rows = scored.result["outputs"]["build-training-set"]["table"]
        self._stage(
            "Roll out a better candidate", better, lambda: example.roll_out(better, rows=rows)
        )
        self._stage(
            "Roll out a faulty candidate",
            better,
            lambda: example.roll_out(example.make_faulty(better), rows=rows),
        )
        self._stage(
            "Roll out a tampered candidate",
            better,
            lambda: example.roll_out(example.make_tampered(better), rows=rows),
        )

    def _production(self, month: int) -> None:
        example = self._example
        self._stage(f"Score month {month}", month, lambda: example.score(month))
        self._stage(f"Monitor month {month}", month, lambda: example.monitor(month))

    def _stage(self, title: str, inputs: object, do: Work) -> Outcome:
        began = time.monotonic()
        self._told.say(f"\n{title}", style="bold")
        outcome = self._memo.stage(title, inputs, do)
        self._journal.add(title, outcome.result, seconds=outcome.seconds, skipped=outcome.skipped)
        took = time.monotonic() - began
        if "answers" in outcome.result:
            self._told.say(f"    {_clients(outcome.result)}")
        for what in outcome.result.get("forgeries", {}):
            self._told.say(f"    refused: {what}")
        self._told.say("    unchanged, skipped" if outcome.skipped else f"    done in {took:.1f} s")
        return outcome


def _clients(result: dict[str, Any]) -> str:
    """Say what the endpoint's clients saw, by HTTP status."""
    seen, after = (
        ", ".join(f"{count:,} x {code}" for code, count in result[part].items())
        for part in ("answers", "after_decision")
    )
    waited = result.get("latency_ms", {}).items()
    told = "".join(f"; {name} {value:.1f} ms" for name, value in waited)
    return f"clients saw {seen}; after the decision {after}{told}"


if __name__ == "__main__":
    sys.exit(main())
