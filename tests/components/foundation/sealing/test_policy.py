"""A sound release is opened only where it is expected."""

import pathlib
from typing import Any

import pytest
import yaml

from components.foundation.errors import Refused, UserError
from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.policy import Policy
from components.foundation.sealing.release import Release
from tests.components.foundation.sealing.memory import Memory

OTHER = "0" * 64


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def made(store: Memory, folder: pathlib.Path, keys: KeyRing) -> Release:
    return release.seal(folder, model="fraud-cards", facts={"n": 1}, store=store, keys=keys)


@pytest.fixture
def newer(store: Memory, folder: pathlib.Path, keys: KeyRing) -> Release:
    return release.seal(folder, model="fraud-cards", facts={"n": 2}, store=store, keys=keys)


def policy(tmp_path: pathlib.Path, *rules: dict[str, Any], **more: Any) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump({"format": 1, "models": list(rules), **more}))
    return Policy.read(file)


def test_what_is_expected_passes(
    made: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    rule = {"name": "fraud-*", "signers": [OTHER, keys.signer_id], "versions": [made.version]}

    policy(tmp_path, rule).check(made, store=store, keys=keys)
    policy(tmp_path, rule | {"signers": [keys.signer_id[:16]]}).check(made, store=store, keys=keys)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "churn-*"}, "its model is fraud-cards, .* expects churn-"),
        ({"signers": [OTHER]}, "its signer is [0-9a-f]{16}, .* expects 0{16};"),
        ({"versions": ["0123456789ab"]}, "its version is [0-9a-f]{12}, .* expects 0123456789ab;"),
        ({"channels": ["champion"]}, "its place is in none of its channels, .* nothing;"),
    ],
    ids=["model", "signer", "version", "channel"],
)
def test_what_is_not_expected_is_refused_before_a_byte_is_there(
    made: Release,
    store: Memory,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    change: dict[str, Any],
    says: str,
) -> None:
    rules = policy(tmp_path, {"name": "fraud-*", "signers": [keys.signer_id], **change})

    def accept(release: Release) -> None:
        rules.check(release, store=store, keys=keys)

    with pytest.raises(Refused, match=says) as refused:
        release.unseal(made.uri, tmp_path / "out", store=store, keys=keys, accept=accept)

    assert refused.value.code == "policy-refused"
    assert not (tmp_path / "out").exists()


def test_the_first_entry_that_fits_decides(
    made: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    strict = {"name": "fraud-cards", "signers": [OTHER]}
    loose = {"name": "*", "signers": [keys.signer_id]}

    policy(tmp_path, loose, strict).check(made, store=store, keys=keys)
    with pytest.raises(Refused, match="its signer"):
        policy(tmp_path, strict, loose).check(made, store=store, keys=keys)


def test_a_later_format_may_be_demanded(
    made: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    rule = {"name": "*", "signers": [keys.signer_id]}

    with pytest.raises(Refused, match=r"its format is 2, .* expects at least 3"):
        policy(tmp_path, rule, minimum_format=3).check(made, store=store, keys=keys)


def test_a_channel_allows_its_champion_and_the_way_back(
    made: Release, newer: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    rules = policy(
        tmp_path, {"name": "*", "signers": [keys.signer_id], "channels": ["champion", "candidate"]}
    )
    third = release.seal(
        tmp_path / "folder", model="fraud-cards", facts={"n": 3}, store=store, keys=keys
    )
    for target in (third, made, newer):
        channel.move("fraud-cards", target.uri, store=store, keys=keys, reason="r")

    rules.check(newer, store=store, keys=keys)
    rules.check(made, store=store, keys=keys)
    with pytest.raises(Refused, match="in none of its channels"):
        rules.check(third, store=store, keys=keys)
    with pytest.raises(Refused, match="in none of its channels"):
        rules.check(newer, store=None, keys=keys)


def test_a_channel_signed_too_long_ago_is_refused(
    made: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
    rule = {"name": "*", "signers": [keys.signer_id], "channels": ["champion"]}
    rules = policy(tmp_path, rule | {"max_channel_age_days": 30})
    monkeypatch.setattr("components.foundation.verdict.now", lambda: "2026-01-01T00:00:00+00:00")
    channel.move("fraud-cards", made.uri, store=store, keys=keys, reason="r")

    with pytest.raises(Refused, match="at most 30 are allowed"):
        rules.check(made, store=store, keys=keys)
    policy(tmp_path, rule).check(made, store=store, keys=keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "format: 2\nmodels: []",
        "format: 1",
        "format: 1\nmodels: [{name: a}]",
        "format: 1\nmodels: [{name: a, signers: []}]",
        "format: 1\nmodels: [{name: a, signers: ID}]",
        "format: 1\nmodels: [{name: a, signers: [ID], versions: []}]",
        "format: 1\nmodels: [{name: a, signers: [ID], channels: []}]",
        "format: 1\nmodels: [{name: a, signers: [ID], versions: [c], versions: [d]}]",
        "format: 1\nmodels: [{name: a, signers: [ID]}]\nmodels: [{name: '*', signers: [c]}]",
        "format: 1\nmodels: [{name: a, signers: [0123456789abcde]}]",
        "format: 1\nmodels: [{name: a, signers: [0123456789ABCDEF]}]",
        "format: 1\nmodels: [{name: a, signers: ['']}]",
        "format: 1\nmodels: [{name: '', signers: [ID]}]",
        "format: 1\nmodels: [{name: a, signers: [ID], verison: [c]}]",
        "format: 1\nmodels: [{name: a, signers: [ID], max_channel_age_days: 3}]",
        "format: 1\nmodels: [{name: a, signers: [ID], channels: [c], max_channel_age_days: yes}]",
        "format: 1\nmodels: []\nminimum_fromat: 2",
        "format: 1\nmodels: []\nminimum_format: two",
        "format: 1\nmodels: [a]",
        "{",
    ],
)
def test_what_is_no_policy_is_refused_whole(
    tmp_path: pathlib.Path, keys: KeyRing, text: str
) -> None:
    (tmp_path / "policy.yaml").write_text(text.replace("ID", keys.signer_id))

    with pytest.raises(UserError, match="is no policy"):
        Policy.read(tmp_path / "policy.yaml")


def test_a_policy_that_is_not_there_is_none(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="is no policy"):
        Policy.read(tmp_path / "policy.yaml")


def test_an_empty_policy_refuses_everything(
    made: Release, store: Memory, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(Refused, match="expects no model"):
        policy(tmp_path).check(made, store=store, keys=keys)


def test_the_policy_that_is_documented_is_one(tmp_path: pathlib.Path) -> None:
    page = (pathlib.Path(__file__).parents[4] / "docs/sealing.md").read_text()
    file = tmp_path / "policy.yaml"
    file.write_text(page.partition("## Policy")[2].partition("```yaml")[2].partition("```")[0])

    [rule] = Policy.read(file).rules

    assert (rule.name, rule.channels, rule.max_channel_age_days) == ("fraud-*", ("champion",), 30)
    assert rule.versions
