"""Every alert fires when it should and is silent when it should be: Prometheus' own evaluation."""

import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from tests.monitoring import rules
from tests.monitoring.rules import Rule
from tests.prerequisites import PROMETHEUS

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
ALERTS = [rule for rule in rules.rules() if rule.alerts]
Case = Mapping[str, Any]

# What a series starts with, so that cases show only what they are about.
_MODEL = 'namespace="falaj", model="delays"'
SHORT = {
    "{A": f'{{{_MODEL}, pod="delays-a-1", version="7", variant="a"',
    "{B": f'{{{_MODEL}, pod="delays-b-1", version="8", variant="b"',
    "{T": f'{{{_MODEL}, pod="delays-a-2", version="7"',
    "{S": f'{{{_MODEL}, pod="delays-a-1", variant="a"',
    "{R": '{namespace="falaj", pod="falaj-router-1", experiment="delays-2026-11"',
    "{P": '{policy="falaj-residency", policy_binding="falaj-residency"',
}
_WHAT = re.compile("|".join(re.escape(key) + r"\b" for key in SHORT))


def _cases() -> Iterator[tuple[str, Case]]:
    for path in sorted((HERE / "alerts").glob("*.yaml")):
        for alert, cases in yaml.safe_load(path.read_text()).items():
            yield from ((alert, case) for case in cases)


CASES = list(_cases())


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROMETHEUS.file, *arguments], capture_output=True, text=True, check=False
    )


def test_prometheus_takes_the_rules(tmp_path: pathlib.Path) -> None:
    rules.write(tmp_path / "rules.yaml")

    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("alert", "case"), CASES, ids=[f"{a}: {c['claim']}" for a, c in CASES])
def test_an_alert_fires_where_it_should_and_nowhere_else(
    alert: str, case: Case, tmp_path: pathlib.Path
) -> None:
    firing = [_alert(alert, case, "firing")] if "fires" in case else []
    seen = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'

    done = evaluated(tmp_path, alert, case, _expected(seen, at=case["at"], found=firing))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", [rule for rule in ALERTS if rule.patience], ids=lambda r: r.name)
def test_an_alert_waits_before_it_tells_anybody(rule: Rule, tmp_path: pathlib.Path) -> None:
    case = next(case for alert, case in CASES if alert == rule.name and "fires" in case)
    early = case.get("pending", f"{rule.patience - 1}m")
    seen = f'ALERTS{{alertname="{rule.name}"}}'
    pending = [_alert(rule.name, case, "pending")]

    done = evaluated(tmp_path, rule.name, case, _expected(seen, at=early, found=pending))

    assert done.returncode == 0, done.stdout + done.stderr


def evaluated(
    folder: pathlib.Path, alert: str, case: Case, expected: Mapping[str, Any]
) -> "subprocess.CompletedProcess[str]":
    """Let promtool evaluate the rules behind an alert, and say whether what is expected came."""
    # A case that lasts days would take a minute at the pace of the rules themselves.
    pace = case.get("interval", "")
    rules.write(folder / "rules.yaml", only=rules.behind(alert), interval=pace)
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(_as_promtool_has_it(case, expected)))
    return promtool("test", "rules", str(path))


def _expected(expression: str, *, at: str, found: Sequence[str]) -> Mapping[str, Any]:
    samples = [{"labels": series, "value": 1} for series in found]
    return {"expr": expression, "eval_time": at, "exp_samples": samples}


def _as_promtool_has_it(case: Case, expected: Mapping[str, Any]) -> Mapping[str, Any]:
    interval = case.get("interval", "1m")
    assert all(isinstance(values, str) for values in case["series"].values())  # 0x9 is a number
    series = [
        {"series": _WHAT.sub(lambda found: SHORT[found[0]], name), "values": values}
        for name, values in case["series"].items()
    ]
    test = {"interval": interval, "input_series": series, "promql_expr_test": [expected]}
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        "group_eval_order": [group["name"] for group in rules.groups()],
        "tests": [test],
    }


def _alert(alert: str, case: Case, state: str) -> str:
    severity = _rule(alert).said["labels"]["severity"]
    labels = {"alertname": alert, "alertstate": state, "severity": severity, **case["fires"]}
    pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"ALERTS{{{pairs}}}"


def _rule(alert: str) -> Rule:
    [found] = [rule for rule in ALERTS if rule.name == alert]
    return found


def test_every_alert_is_seen_firing_and_silent() -> None:
    fires = {alert for alert, case in CASES if "fires" in case}
    silent = {alert for alert, case in CASES if "fires" not in case}

    assert fires == silent == {rule.name for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: Rule) -> None:
    said = rule.said["annotations"]

    assert rule.said["labels"].keys() == {"severity"}
    assert rule.said["labels"]["severity"] in {"critical", "warning", "info"}
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert all(said.values())


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_what_an_alert_tells_of_is_a_label_that_it_has(rule: Rule) -> None:
    firing = [case["fires"] for alert, case in CASES if alert == rule.name and "fires" in case]
    text = "".join(rule.said["annotations"].values())

    named = set(re.findall(r"\$labels\.(\w+)", text))

    assert all(named <= labels.keys() for labels in firing)
    assert named


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_the_runbook_has_a_section_for_it(rule: Rule) -> None:
    page, _, anchor = rule.said["annotations"]["runbook_url"].partition("#")
    assert page.startswith("https://falaj.example/docs/")

    text = (ROOT / "docs" / page.rpartition("/")[2]).read_text()

    assert f"### {rule.name}\n" in text
    assert anchor == rule.name.lower()
