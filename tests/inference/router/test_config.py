"""What is an experiment, and what is refused with a reason."""

import json
import pathlib
from typing import Any

import pytest

from components.foundation.errors import UserError
from inference.router.config import Config


def said(**changes: Any) -> dict[str, Any]:
    one = {"name": "a", "url": "http://one:8080", "weight": 90}
    two = {"name": "b", "url": "https://[::1]", "weight": 10}
    return {"experiment": "delays-1", "variants": [one | changes, two]}


def test_reads_an_experiment(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "router.json"
    path.write_text(json.dumps(said()))

    config = Config.read(path)

    assert config.weights == {"a": 90.0, "b": 10.0}
    assert [(v.scheme, v.host, v.port) for v in config.variants] == [
        ("http", "one", 8080),
        ("https", "::1", 443),
    ]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        pytest.param([], "the document: got no object", id="no object"),
        pytest.param(said() | {"salt": "x"}, "expected experiment, variants", id="unknown key"),
        pytest.param(said() | {"variants": []}, "at least one", id="no variants"),
        pytest.param(said() | {"experiment": "Ü"}, "experiment: 'Ü' is no name", id="name"),
        pytest.param(said(name="b"), "one name", id="one name twice"),
        pytest.param(said(name="a\r\nx: y"), "is no name", id="name that breaks a header"),
        pytest.param(said(weight=80), "sum to 90; make it 1 or 100", id="sum"),
        pytest.param(said(weight=-1), "is no weight", id="negative"),
        pytest.param(said(weight=float("nan")), "is no weight", id="NaN"),
        pytest.param(said(weight=True), "is no weight", id="a bool"),
        pytest.param(said(weight="90"), "is no weight", id="a string"),
        pytest.param(said(url="one:8080"), "is no server", id="no scheme"),
        pytest.param(said(url="http://one/path"), "is no server", id="a path"),
        pytest.param(said(url="http://u:p@one"), "is no server", id="a password"),
        pytest.param(said(url="http://one:99999"), "is no server", id="no such port"),
        pytest.param(said(url=7), "variants[0].url: 7 is no server", id="a number"),
    ],
)
def test_refuses_what_is_no_experiment(document: Any, why: str) -> None:
    with pytest.raises(UserError) as refused:
        Config.parse(document)

    assert why in str(refused.value)


@pytest.mark.parametrize("text", [None, "{", "\ufffe"])
def test_refuses_a_file_that_cannot_be_read(tmp_path: pathlib.Path, text: str | None) -> None:
    path = tmp_path / "router.json"
    if text is not None:
        path.write_text(text, encoding="utf-16-le")

    with pytest.raises(UserError, match=r"router\.json") as refused:
        Config.read(path)

    assert refused.value.code == "router-config"
