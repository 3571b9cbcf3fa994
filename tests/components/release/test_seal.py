import json
import pathlib
from typing import Any

import pytest
from kfp import dsl

from components.foundation.audit import AuditLog
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import ObjectStore
from components.release.seal.component import seal


def sealed(
    model: dsl.Model, profile: dsl.Artifact, evaluation: dsl.Artifact, name: str, **facts: Any
) -> str:
    uri: str = seal.python_func(
        model=model,
        profile=profile,
        evaluation=evaluation,
        contract="table: flights\n",
        model_name=name,
        facts={"training": "s3://falaj-features/t@3", **facts},
    )
    return uri


def test_a_release_holds_the_model_and_what_speaks_for_it(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    store: ObjectStore,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    unique: str,
) -> None:
    uri = sealed(model, profile, evaluation, unique, training="s3://falaj-features/t@3")

    opened = release.unseal(uri, tmp_path / "out", store=store, keys=keys)

    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "contract.yaml",
        "metrics.json",
        "model.json",
        "model.onnx",
        "model.sig",
        "profile.json",
        "release.json",
        "signature.json",
    }
    assert json.loads((tmp_path / "out/metrics.json").read_text()) == {"auc": 0.7}
    assert opened.statement.facts["training"] == "s3://falaj-features/t@3"
    assert opened.statement.facts["code"].startswith("sha256:")
    assert "@sha256:" in opened.statement.facts["images"]["serving"]


def test_a_release_says_what_features_it_was_trained_with(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    store: ObjectStore,
    keys: KeyRing,
    unique: str,
) -> None:
    features = {"feature_service": "lateness", "feature_registry": "s3://b/k#sha256:00"}
    given = {"model": model, "profile": profile, "evaluation": evaluation}
    facts = {"training": "s3://falaj-features/t@3"}

    uri = seal.python_func(
        **given, contract="table: t\n", model_name=unique, facts=facts, **features
    )

    signed = release.read(ReleaseUri.parse(uri), store=store, keys=keys).statement.facts
    assert features.items() <= signed.items()


def test_refuses_half_of_what_the_features_are(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    keys: KeyRing,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {"model": model, "profile": profile, "evaluation": evaluation}

    with pytest.raises(SystemExit):
        seal.python_func(**given, contract="t\n", model_name=unique, feature_service="lateness")

    assert "[features-half-said]" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["program.pt2", "model.pt2", "saved_model.pb"])
def test_seals_what_a_trainer_wrote(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    store: ObjectStore,
    keys: KeyRing,
    unique: str,
    program: str,
) -> None:
    folder = pathlib.Path(model.path)
    (folder / "model.onnx").rename(folder / program)

    uri = sealed(model, profile, evaluation, unique)

    files = release.read(ReleaseUri.parse(uri), store=store, keys=keys).statement.files
    assert program in {file.path for file in files}


@pytest.mark.parametrize("programs", [(), ("model.onnx", "program.pt2")], ids=["none", "two"])
def test_refuses_a_model_without_one_program(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    keys: KeyRing,
    unique: str,
    programs: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = pathlib.Path(model.path)
    (folder / "model.onnx").unlink()
    for name in programs:
        (folder / name).write_bytes(b"")

    with pytest.raises(SystemExit) as ended:
        sealed(model, profile, evaluation, unique)

    assert ended.value.code == 2
    assert "[model-folder-" in capsys.readouterr().err


def test_sealing_is_in_the_audit_log_once(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    store: ObjectStore,
    keys: KeyRing,
    unique: str,
) -> None:
    uri, _ = (sealed(model, profile, evaluation, unique) for _ in range(2))

    [entry] = [e for e in AuditLog(store).entries() if (e.kind, e.subject) == ("release", uri)]
    assert entry.body["files"].keys() >= {"model.onnx", "profile.json"}


def test_the_same_input_gives_the_same_release(
    model: dsl.Model, profile: dsl.Artifact, evaluation: dsl.Artifact, keys: KeyRing, unique: str
) -> None:
    first = sealed(model, profile, evaluation, unique, code="a")

    assert sealed(model, profile, evaluation, unique, code="a") == first
    assert sealed(model, profile, evaluation, unique, code="b") != first


def test_refuses_a_model_without_its_signature(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    keys: KeyRing,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pathlib.Path(model.path) / "signature.json").unlink()

    with pytest.raises(SystemExit) as ended:
        sealed(model, profile, evaluation, unique)

    assert ended.value.code == 2
    assert (
        "signature.json: missing; expected a folder made by export_onnx or a trainer"
        in capsys.readouterr().err
    )


def test_refuses_a_profile_that_is_no_json(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    keys: KeyRing,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pathlib.Path(profile.path).write_text("columns: none")

    with pytest.raises(SystemExit) as ended:
        sealed(model, profile, evaluation, unique)

    assert ended.value.code == 2
    assert "expected a JSON object" in capsys.readouterr().err


def test_says_that_there_is_no_key_ring(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("FALAJ_KEYS", raising=False)

    with pytest.raises(SystemExit) as ended:
        sealed(model, profile, evaluation, unique)

    assert ended.value.code == 2
    assert "FALAJ_KEYS is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("training", ""),
        ("training", []),
        ("training", "s3://falaj-features/t"),
        ("training", "s3://falaj-features/t@latest"),
        ("training", ["s3://falaj-features/t@3", "s3://falaj-features/u@latest"]),
        ("images", {}),
        ("images", {"release": "falaj/release:latest"}),
        ("code", ""),
    ],
)
def test_refuses_a_release_that_does_not_say_where_it_comes_from(
    model: dsl.Model,
    profile: dsl.Artifact,
    evaluation: dsl.Artifact,
    store: ObjectStore,
    keys: KeyRing,
    unique: str,
    capsys: pytest.CaptureFixture[str],
    fact: str,
    value: object,
) -> None:
    with pytest.raises(SystemExit) as ended:
        sealed(model, profile, evaluation, unique, **{fact: value})

    assert ended.value.code == 2
    assert f"fact '{fact}': is" in capsys.readouterr().err
    assert not [uri for uri in release.releases(store=store) if unique in uri]
