"""Prometheus, by whose counters rollouts are judged."""

import json
import urllib.parse
from collections.abc import Iterator

from components.deployment.roll_out.counters import Counter
from components.foundation.errors import InfrastructureError
from components.governance.doctor.interface import Answer, Installation, Question

_SCRAPE = "deploy a model, and see that its pods are scraped (feature prometheus, or annotations)"


def questions(at: Installation) -> Iterator[Question]:
    yield Question("Prometheus", _prometheus)


def query() -> str:
    """Ask how many series of ours there are, each counter apart."""
    names = "|".join(counter.value for counter in Counter)
    return f'count by (__name__) ({{__name__=~"{names}"}})'


def _prometheus(at: Installation) -> Answer:
    url = at.site.metrics.rstrip("/")
    if (away := at.out_of_reach(url)) is not None:
        return away
    try:
        page = at.fetch(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query()})}")
    except InfrastructureError as error:
        do = "look again, or from where it can be reached"
        return Answer.unknown(str(error), do=do)
    series = _series(page.text) if page.status == 200 else None
    if series is None:
        do = "correct `metrics` in the site file; steps ask there without a sign-in"
        return Answer.missing(f"{url}: status {page.status}", expected="Prometheus' answer", do=do)
    if not series:
        none = "answers, and has no counter of ours"
        return Answer.warning(none, expected="counters of served models", do=_SCRAPE)
    return Answer.well(f"answers, and has {', '.join(series)}")


def _series(text: str) -> list[str] | None:
    """Return the names of the counters there are; None if this is no answer of Prometheus."""
    try:
        found = json.loads(text)["data"]["result"]
        return sorted(str(one["metric"]["__name__"]) for one in found)
    except (ValueError, KeyError, TypeError):
        return None
