"""Who hears of an alert, by Alertmanager's own routing of what the operator would make of ours."""

import copy
import pathlib
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import yaml

from tests.monitoring import rules
from tests.prerequisites import ALERTMANAGER

Thing = Mapping[str, Any]
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "monitoring.md"
[CONFIG] = rules.objects("AlertmanagerConfig")
MODEL = {"namespace": "falaj", "model": "delays"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The configuration that the operator writes: only alerts of its namespace reach a route."""
    return _written(CONFIG["spec"], tmp_path_factory.mktemp("alertmanager"))


def _written(spec: Thing, folder: pathlib.Path) -> pathlib.Path:
    namespace = f'namespace="{CONFIG["metadata"]["namespace"]}"'
    ours = {**_route(spec["route"]), "matchers": [namespace], "continue": True}
    text = {
        "route": {"receiver": "cluster", "routes": [ours]},
        "receivers": [{"name": "cluster"}, *map(_receiver, spec["receivers"])],
        "inhibit_rules": [_inhibition(rule) for rule in spec["inhibitRules"]],
    }
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def _route(route: Thing) -> Thing:
    """Write one route and those below it as Alertmanager spells them."""
    parts: Mapping[str, Callable[[Any], Any]] = {
        "matchers": _matchers,
        "routes": lambda routes: [_route(route) for route in routes],
    }
    return {_snake(key): parts.get(key, _same)(part) for key, part in route.items()}


def _same(part: Any) -> Any:
    return part


def _inhibition(rule: Thing) -> Thing:
    return {
        "source_matchers": _matchers(rule["sourceMatch"]),
        "target_matchers": _matchers(rule["targetMatch"]),
        "equal": rule["equal"],
    }


def _matchers(matchers: list[Thing]) -> list[str]:
    return [f'{m["name"]}{m["matchType"]}"{m["value"]}"' for m in matchers]


def _receiver(receiver: Thing) -> Thing:
    """Write a receiver with an address where the Secret's would stand."""
    hooks = [{"url": "http://127.0.0.1:9"} for _ in receiver.get("webhookConfigs", [])]
    return {"name": receiver["name"], "webhook_configs": hooks}


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def amtool(*arguments: str) -> str:
    done = subprocess.run(
        [ALERTMANAGER.file, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hearing(config: pathlib.Path, labels: Mapping[str, str]) -> str:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool("config", "routes", "test", f"--config.file={config}", *pairs).strip()


def test_alertmanager_takes_the_configuration(config: pathlib.Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(config))


@pytest.mark.parametrize(
    ("labels", "heard"),
    [
        pytest.param(
            {**MODEL, "severity": "critical"},
            "on-call,model-owners",
            id="a model fails its clients",
        ),
        pytest.param({**MODEL, "severity": "warning"}, "model-owners", id="a model needs a look"),
        pytest.param({**MODEL, "severity": "info"}, "nobody", id="good to know of a model"),
        pytest.param(
            {"namespace": "falaj", "severity": "critical"},
            "on-call,platform",
            id="the platform fails",
        ),
        pytest.param(
            {"namespace": "falaj", "severity": "warning"},
            "platform",
            id="the platform needs a look",
        ),
        pytest.param({"namespace": "falaj", "severity": "info"}, "nobody", id="good to know"),
        pytest.param(
            {"namespace": "theirs", "model": "x", "severity": "critical"},
            "cluster",
            id="not of ours",
        ),
    ],
)
def test_an_alert_reaches_those_who_can_act(
    labels: Mapping[str, str], heard: str, config: pathlib.Path
) -> None:
    assert hearing(config, labels) == heard


@pytest.mark.parametrize(("model", "heard"), [("refunds", "fares"), ("delays", "model-owners")])
def test_models_have_owners_of_their_own_where_the_docs_say_how(
    model: str, heard: str, tmp_path: pathlib.Path
) -> None:
    receiver, route = _patches()
    spec = copy.deepcopy(CONFIG["spec"])
    spec["receivers"].append(receiver["value"])
    spec["route"]["routes"].insert(int(route["path"].rpartition("/")[2]), route["value"])

    config = _written(spec, tmp_path)

    assert hearing(config, {**MODEL, "model": model, "severity": "warning"}) == heard
    assert hearing(config, {**MODEL, "model": model, "severity": "critical"}) == f"on-call,{heard}"


def _patches() -> Sequence[Thing]:
    [text] = re.findall(r"^```yaml\n(- op: add.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    patches: Sequence[Thing] = yaml.safe_load(text)
    assert [patch["op"] for patch in patches] == ["add", "add"]
    return patches


def test_what_is_hushed_is_an_alert_of_ours() -> None:
    names = {rule.name for rule in rules.rules() if rule.alerts}

    for rule in CONFIG["spec"]["inhibitRules"]:
        for [matcher] in (rule["sourceMatch"], rule["targetMatch"]):
            meant = [name for name in names if re.fullmatch(matcher["value"], name)]
            assert meant, matcher
            assert len(meant) >= matcher["value"].count("|") + 1


def test_addresses_come_from_a_secret() -> None:
    hooks = [
        hook
        for receiver in CONFIG["spec"]["receivers"]
        for hook in receiver.get("webhookConfigs", [])
    ]

    assert [hook.keys() for hook in hooks] == [{"urlSecret"}] * 3
    assert {hook["urlSecret"]["name"] for hook in hooks} == {"falaj-alerts"}
