"""Evidence as a real store holds it."""

import pathlib
from collections.abc import Iterator

import pytest

from components.foundation.audit import AuditLog
from components.foundation.errors import Refused
from components.foundation.lineage import Lineage
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import seal
from components.foundation.storage import Address, ObjectStore
from components.foundation.verdict import Decision, Verdict
from pipelines.proof import Proof


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A store of its own: the audit log and the lineage of others are in the shared one."""
    from pipelines.laptop import seaweedfs, session

    folder = tmp_path_factory.mktemp("s3")
    with seaweedfs.running(folder, buckets=session.BUCKETS, owner=folder) as settings:
        yield ObjectStore(settings)


def test_evidence_is_gathered_from_the_store(
    alone: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    given = Verdict("contract", Decision.ACCEPT, "because")
    AuditLog(alone).append("verdict", given.subject, given.to_dict())
    lineage = Lineage(alone, run_id="run-1", job="curate")
    lineage.start()
    lineage.complete(
        inputs=["s3://falaj-raw/a@1", "sqlite:///data/shop.db/orders", "http://127.0.0.1:80/x"],
        outputs=["s3://falaj-curated/b@2"],
    )
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "model.onnx").write_bytes(b"weights" * 99)
    good, bad = (
        seal(
            tmp_path / "release",
            model=name,
            facts={"training": "s3://t/t@0"},
            store=alone,
            keys=keys,
        )
        for name in ("good", "bad")
    )
    AuditLog(alone).append("release", good.uri, good.to_dict())
    target = Address.parse(bad.uri.removeprefix("sealed+")) / "files" / "model.onnx"
    alone.put(target, alone.get(target)[:-1] + b"!")

    proof = Proof.gather(alone, keys)

    assert (proof.entry(given), proof.sealing(good.uri), proof.sealing(bad.uri)) == (1, 2, 0)
    assert proof.head == proof.entries[-1].digest()
    assert proof.sources["s3://falaj-curated/b@2"] == (
        "s3://falaj-raw/a@1",
        "sqlite:shop.db/orders",
        "http://localhost/x",
    )
    assert proof.sealed[good.uri].problem == ""
    assert proof.sealed[good.uri].signer == keys.signer_id
    assert proof.sealed[good.uri].content == str(good.statement.content)
    assert "model.onnx" in proof.sealed[bad.uri].problem


def test_an_audit_log_that_was_cut_is_no_evidence(alone: ObjectStore, keys: KeyRing) -> None:
    log = AuditLog(alone)
    for subject in "ab":
        log.append("verdict", subject, Verdict(subject, Decision.ACCEPT, "x").to_dict())
    alone.delete(Address("falaj-evidence", "audit/00000002.json"))

    with pytest.raises(Refused, match="it was cut"):
        Proof.gather(alone, keys)
