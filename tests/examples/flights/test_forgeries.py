"""What a thief of the bucket tries is refused by name, and what is served stays as it was."""

from collections.abc import Iterator

import pytest

from components.foundation.errors import Refused
from components.foundation.sealing import channel
from components.foundation.storage import Address
from components.governance.report.story import Forgery
from examples.flights.forgeries import Forger, check
from pipelines.laptop import session
from pipelines.laptop.session import Session
from tests.components.deployment import sealed

CHANNEL = Address("falaj-models", "delays/channel/trial")
KEPT = Address("falaj-models", "delays/channel/trial-kept")


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with session.storing(tmp_path_factory.mktemp("laptop")) as running:
        yield running


@pytest.fixture(scope="module")
def releases(laptop: Session, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two sound releases, and one with a byte altered."""
    uris = {
        name: sealed.seal(
            tmp_path_factory.mktemp(name) / "plain",
            "delays",
            slope=n,
            store=laptop.store,
            keys=laptop.keys,
        ).uri
        for n, name in enumerate(("older", "newer", "tampered"))
    }
    altered = Address.parse(uris["tampered"].removeprefix("sealed+")) / "files/model.onnx"
    data = bytearray(laptop.store.get(altered))
    data[-1] ^= 1
    laptop.store.put(altered, bytes(data))
    return uris


def test_every_attempt_is_refused_by_name_and_leaves_nothing(
    laptop: Session, releases: dict[str, str]
) -> None:
    before = {str(item.address) for item in laptop.store.list(Address("falaj-models", ""))}

    attempts = check([*Forger(laptop, "delays").attempts(**releases)])

    said = {attempt.what: attempt.refused for attempt in attempts}
    assert "model.onnx" in said["serve a release with one byte altered"]
    assert "cannot be renamed" in said["serve a release under another model's name"]
    assert "plaintext are refused" in said["serve a model that nobody sealed"]
    assert "put back" in said["put an old state of a channel back"]
    after = {str(item.address) for item in laptop.store.list(Address("falaj-models", ""))}
    assert after - before == {str(CHANNEL)}


def test_a_trial_that_was_killed_is_made_good_by_the_next(
    laptop: Session, releases: dict[str, str]
) -> None:
    forger = Forger(laptop, "delays")
    list(forger.attempts(**releases))
    newest = laptop.store.get(CHANNEL)
    laptop.store.put(KEPT, newest)
    laptop.store.put(CHANNEL, b"an old state")

    assert "put back" in list(forger.attempts(**releases))[-1].refused
    pointer = channel.current("delays", store=laptop.store, keys=laptop.keys, channel="trial")
    assert pointer is not None
    assert pointer.uri == releases["newer"]
    assert not laptop.store.exists(KEPT)


def test_a_release_that_opens_is_no_refusal(laptop: Session, releases: dict[str, str]) -> None:
    opened = Forger(laptop, "delays").attempts(
        older=releases["older"], newer=releases["newer"], tampered=releases["newer"]
    )

    with pytest.raises(Refused, match="nothing refused an attempt to serve a release with one"):
        check([*opened])


def test_an_attempt_that_nobody_refused_ends_the_example() -> None:
    with pytest.raises(Refused, match="do not serve from this store"):
        check([Forgery("open the door", "")])
