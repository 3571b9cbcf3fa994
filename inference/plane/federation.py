"""Series of every pod on one page, as a Prometheus server's /federate gives them."""

import asyncio
import re
from collections.abc import Iterable, Mapping

from inference.plane.kept import Kept
from inference.plane.pods import Pod
from inference.transport.client import Call, Failed

_SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_COMMENT = re.compile(r"# (?:TYPE|HELP) (\S+)")
_TIMEOUT_S = 2

Family = tuple[list[str], list[str]]  # comments, series


async def federate(pods: Iterable[Pod], selectors: list[str]) -> str:
    """Collect the metrics of pods, with the labels a scrape adds, grouped by family."""
    scraped = [(pod.template.service, kept) for pod in pods for kept in pod.kept]
    pages = await asyncio.gather(*(_scrape(kept) for _, kept in scraped))
    families: dict[str, Family] = {}
    for (service, kept), page in zip(scraped, pages, strict=True):
        _merge(families, page, {"inferenceservice": service, "pod": kept.name}, selectors)
    lines = [line for comments, series in families.values() if series for line in comments + series]
    return "".join(f"{line}\n" for line in lines)


async def _scrape(kept: Kept) -> str:
    """Get a page; what does not answer has no series, as in a failed scrape."""
    try:
        answer = await kept.upstream.send(Call(b"GET", b"/metrics"), seconds=_TIMEOUT_S)
    except Failed:
        return ""
    return answer.body.decode() if answer.status == 200 else ""


def _merge(
    families: dict[str, Family],
    page: str,
    labels: Mapping[str, str],
    selectors: list[str],
) -> None:
    family: Family = ([], [])
    for line in page.splitlines():
        comment = _COMMENT.match(line)
        if comment:
            family = families.setdefault(comment[1], ([], []))
            if line not in family[0]:
                family[0].append(line)
        elif line and not line.startswith("#"):
            family[1].extend(_labelled(line, labels, selectors))


def _labelled(line: str, labels: Mapping[str, str], selectors: list[str]) -> Iterable[str]:
    parsed = _SERIES.match(line)
    if parsed is None:
        return
    name, own, value = parsed[1], dict(_LABEL.findall(parsed[2] or "")), parsed[3]
    merged = {**own, **labels}
    if selectors and not any(_selected(name, merged, selector) for selector in selectors):
        return
    inside = ",".join(f'{key}="{text}"' for key, text in merged.items())
    yield f"{name}{{{inside}}} {value}"


def _selected(name: str, labels: Mapping[str, str], selector: str) -> bool:
    """Match the selectors we send: a name, and labels that must be equal."""
    wanted, _, conditions = selector.partition("{")
    equal = _LABEL.findall(conditions)
    return wanted in ("", name) and all(labels.get(key) == value for key, value in equal)
