"""What docs/keys.md says of OpenBao, done line by line by a real one."""

import os
import pathlib
import re

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from tests.components.foundation.sealing.keys.openbao import BAO, OpenBao
from tests.docs.transcript import blocks, run

PAGE = pathlib.Path(__file__).parents[5] / "docs/keys.md"
SECTION = PAGE.read_text().split("## OpenBao and HashiCorp Vault")[1].split("\n## ")[0]


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def ring(bao: OpenBao, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The ring that the page's commands and its layout make."""
    folder = tmp_path_factory.mktemp("ring")
    path = f"{BAO.parent}:{os.environ['PATH']}"
    (script,) = [said.script for said in blocks(SECTION)]
    ran = run(f"set -e\n{script}", folder=folder, environment={**bao.environment, "PATH": path})
    assert ran.returncode == 0, ran.stdout
    (folder / "ring.yaml").write_text(block("yaml"))
    return folder


def identity(bao: OpenBao, *rules: str) -> dict[str, str]:
    environment = bao.allowing(*(re.findall(r'path "(.*?)"', "\n".join(rules))))
    return {k: v for k, v in environment.items() if k != "TRANSIT_SECRET_ENGINE_PATH"}


def test_the_policies_are_enough_and_the_opener_cannot_seal(
    ring: pathlib.Path, bao: OpenBao, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    rules = block("hcl").splitlines()
    sealer = KeyRing.load(ring, environment=identity(bao, *rules))
    opener = KeyRing.load(ring, environment=identity(bao, rules[-1]))

    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=sealer)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=opener)

    assert (folder.parent / "out/model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    with pytest.raises(UserError, match="permission denied"):
        opener.sign(b"m")
    with pytest.raises(UserError, match="permission denied"):
        opener.wrap(bytes(32), context=b"c")


def test_every_variable_that_is_read_is_on_the_page() -> None:
    sources = pathlib.Path(PAGE.parents[1] / "components/foundation/sealing/keys/vault.py")
    read = set(re.findall(r'"((?:VAULT|TRANSIT|FALAJ)_[A-Z_]+)"', sources.read_text()))

    assert len(read) >= 8
    assert read == set(re.findall(r"^\| `([A-Z_]+)` \|", SECTION, re.MULTILINE))
