"""Say a verdict in words: what was measured, against which bound, and what would change it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from components.foundation.verdict import Verdict

Evidence = Mapping[str, Any]
_MOST = 12  # lines of one kind; the audit log has them all


def evidence(verdict: Verdict) -> list[str]:
    """Return one line for each piece of evidence, what decided first."""
    telling = _KINDS.get(verdict.subject.split()[0], _anything)
    try:
        return list(telling(verdict.evidence)) or ["no numbers: the reason says all"]
    except (KeyError, TypeError, AttributeError):  # an earlier or another project's evidence
        return list(_anything(verdict.evidence))


def _contract(found: Evidence) -> Iterator[str]:
    yield f"{_count(found['rows'])} rows of {found['table']}, {len(found['rules'])} rules"
    rules = sorted(found["rules"], key=lambda rule: (rule["holds"], -rule["fraction"]))
    telling = [rule for rule in rules if rule["broken"] or not rule["holds"]]
    yield from _some(telling, lambda rule: _rule(rule, found["rows"]))
    yield f"the other {len(rules) - len(telling)} rules were broken by no row"


def _rule(rule: Evidence, rows: float) -> str:
    allowed = int(rule["tolerated"] * rows)
    line = (
        f"{rule['rule']}: {_count(rule['broken'])} rows ({rule['fraction']:.3%}) break it, "
        f"tolerated: {_count(allowed)} ({rule['tolerated']:.3%}); expected: {rule['expected']}"
    )
    strict = rule["severity"] == "error"
    if rule["holds"]:
        return f"{line}; one more than tolerated would {'refuse the table' if strict else 'warn'}"
    spared = "let the table through" if strict else "been no warning"
    return f"{line}; {_count(rule['broken'] - allowed)} fewer would have {spared}"


def _residency(found: Evidence) -> Iterator[str]:
    yield f"profile {found['profile']}: {found.get('legal_basis', '')}"
    for title, what in (
        ("looked up", "looked_up"),
        ("declared", "declared"),
        ("nobody attests", "not_attested"),
    ):
        yield from (f"{title}: {one}" for one in found.get(what, []))
    findings = found.get("findings", [])
    yield from (f"against it: {one}; mended, the site would pass" for one in findings)
    if not findings:
        yield "a place outside of what the profile allows would have refused it"


def _bless(found: Evidence) -> Iterator[str]:
    challenger, champion = found["challenger"], found["champion"]
    for name in (name for name in challenger if name in champion and name not in {"name", "rows"}):
        yield f"{name}: {_number(challenger[name])}, {champion['name']} {_number(champion[name])}"
    for name, gap in found["difference"].items():
        yield f"difference of {name}: {_gap(gap, found['level'])}"
    yield from (f"not reached: {line}" for line in found["broken"])
    yield f"{_expected(found)}"
    decides = found.get("decides", "log_loss")
    high, bound = found["difference"][decides]["high"], max(found["margin"], 0)
    yield f"{decides} decides: its interval has to end below {bound:g}; it ends at {high:+.4f}"


def _expected(found: Evidence) -> str:
    asked = found.get("expected", {})
    bounds = [
        f"{name} {'at least' if kind == 'minimum' else 'at most'} {bound:g} of {part}"
        for part, limits in asked.items()
        for kind, named in limits.items()
        for name, bound in named.items()
    ]
    return f"expected: {', '.join(bounds) or 'nothing of its own'}"


def _gap(gap: Evidence, level: float) -> str:
    return f"{gap['estimate']:+.4f}, {level:.0%} interval {gap['low']:+.4f} to {gap['high']:+.4f}"


def _export(found: Evidence) -> Iterator[str]:
    most, bound = found["max_difference"], found["tolerance"]
    yield f"{_count(found['rows'])} rows scored twice, by the framework and by ONNX Runtime"
    yield f"largest difference {most:.1e}, at most {bound:.0e} is let through"
    yield _turning(most, bound, "difference")


def _smoke(found: Evidence) -> Iterator[str]:
    most, bound = found["difference"], found["difference_limit"]
    yield f"largest difference to scores in this process {most:.1e}, bound {bound:.0e}"
    yield f"errors: {_count(found['errors'])}, none are let through"
    yield f"the 99th percentile of the latency may be {found['p99_limit_ms']:g} ms"
    tried = found["malformed"]
    wrong = [one for one in tried if not one["good"]]
    yield f"{len(tried) - len(wrong)} of {len(tried)} malformed requests were answered well"
    yield from (f"{one['name']}: answered {one['got']}, wanted {one['wanted']}" for one in wrong)


def _scan(found: Evidence) -> Iterator[str]:
    counted = ("files", "operators", "tensors", "pickles")
    yield ", ".join(f"{_count(found[name])} {name}" for name in counted)
    yield f"scanned by {', '.join(found['scanners'])}"
    said = found["provenance"]
    yield f"licence {said['licence'] or 'none'}, trained by {said['trained_by'] or 'nobody'}"
    refused = found["findings"]
    yield from _some(refused, lambda one: f"{one['file']}: {one['rule']}: {one['says']}")
    if not refused:
        yield "one file that is no model, names code or reaches outside would have refused it"


def _rollout(found: Evidence) -> Iterator[str]:
    if not found:
        yield "no candidate was waiting; a newly deployed release would start a rollout"
        return
    for who, what in (
        ("champion", "champion"),
        ("candidate", "candidate"),
        ("bake", "candidate, with all traffic"),
    ):
        yield f"{what}: {_errors(found[f'{who}_errors'], found[f'{who}_requests'])}"
    bound = 1 / found["alpha"]
    yield f"that the candidate errs more: e-value {found['e_value']:.3g}; {bound:g} rolls it back"
    low, high, margin = (found[name] for name in ("difference_low", "difference_high", "margin"))
    yield f"its error rate differs by {low:+.2%} to {high:+.2%}; all below {margin:.2%} promotes it"
    yield f"step {found['step']} of {found['steps']} percent, after {found['seconds']:g} s"


def _drift(found: Evidence) -> Iterator[str]:
    yield (
        f"{_count(found['rows'])} rows against {_count(found['reference_rows'])} of the "
        f"reference; alpha {found['alpha']:g} over all questions ({found['correction']})"
    )
    findings = found.get("findings", [])
    drifted = [one for one in findings if one["drifted"]]
    yield from _some(drifted, _moved)
    yield f"{len(drifted)} of {len(findings)} questions found drift"
    if drifted:
        yield f"stable would be: no effect above its floor (distribution {found['effect_floor']:g})"
        return
    least = max(findings, key=lambda one: one["effect"] / one["floor"], default=None)
    if least:
        yield f"nearest: {_moved(least)}"


def _moved(one: Evidence) -> str:
    return (
        f"{one['column']}, {one['question']}: effect {one['effect']:.3g}, floor {one['floor']:g}, "
        f"p {one['p_adjusted']:.2g} after correction"
    )


def _performance(found: Evidence) -> Iterator[str]:
    yield from _some(found["windows"], lambda one: _window(one, found))
    if found.get("min_auc"):
        yield f"drift would be: an interval of the AUC wholly below {found['min_auc']:g}"


def _window(one: Evidence, found: Evidence) -> str:
    line = (
        f"{one['window']}: {_count(one['labelled'])} of {_count(one['predictions'])} have labels "
        f"({one['coverage']:.1%}, at least {found['min_coverage']:.0%} and "
        f"{_count(found['min_labels'])} rows); {one['state']}"
    )
    if one.get("auc") is None:
        return line
    return f"{line}; AUC {one['auc']:.4f} [{one['auc_low']:.4f}, {one['auc_high']:.4f}]"


def _online(found: Evidence) -> Iterator[str]:
    for view in found["views"]:
        yield (
            f"{view['view']}: {_count(view['rows'])} keys loaded, {_count(view['compared'])} read "
            f"back, {_count(view['different'])} different, {_count(view['missing'])} missing"
        )
    yield "one key that differs or is missing would have refused it"


def _training(found: Evidence) -> Iterator[str]:
    yield f"{_count(found['rows'])} rows went in, as many came out"
    yield from (f"knows the future: {leak}" for leak in found["leaks"])
    yield from _some(found["views"], lambda view: ", ".join(_anything(view)))
    yield "one value known only after its row's time would have refused it"


def _anything(found: Evidence) -> Iterator[str]:
    """Say any evidence: numbers and words as they are, lists by their length."""
    for name, value in found.items():
        title = name.replace("_", " ")
        match value:
            case bool() | str() | None:
                yield f"{title}: {value}"
            case int() | float():
                yield f"{title}: {_number(value)}"
            case list() if all(isinstance(one, str | int | float) for one in value):
                yield f"{title}: {', '.join(map(str, value[:_MOST])) or 'none'}"
            case list():
                yield f"{title}: {len(value)}"
            case dict():
                yield from (f"{title}, {line}" for line in _anything(value))


_KINDS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "contract": _contract,
    "residency": _residency,
    "bless": _bless,
    "export": _export,
    "scan": _scan,
    "smoke": _smoke,
    "rollout": _rollout,
    "drift": _drift,
    "performance": _performance,
    "online": _online,
    "training": _training,
}


def _some(things: Sequence[Evidence], line: Callable[[Evidence], str]) -> Iterator[str]:
    yield from (line(one) for one in things[:_MOST])
    if len(things) > _MOST:
        yield f"and {len(things) - _MOST} more"


def _turning(got: float, bound: float, what: str) -> str:
    if got <= bound:
        return f"a {what} above {bound:.0e} would have refused it"
    return f"a {what} of at most {bound:.0e} would have been let through"


def _errors(failed: float, asked: float) -> str:
    share = f" ({failed / asked:.2%})" if asked else ""
    return f"{_count(failed)} errors of {_count(asked)} requests{share}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
