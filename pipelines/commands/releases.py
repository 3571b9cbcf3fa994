"""`falaj seal | unseal`: releases by hand, with the keys and store of the environment."""

import argparse
import os
import pathlib
from typing import TYPE_CHECKING

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore, Settings
from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_URI = "sealed+s3://falaj-models/MODEL/VERSION"


def add(verbs: "Verbs") -> None:
    what = "sign and encrypt a release folder into the store"
    parser = options.verb(verbs, "seal", what, "falaj seal out/release --model delays")
    parser.add_argument("folder", type=pathlib.Path, help="holds model.onnx, signature.json, ...")
    parser.add_argument("--model", required=True, help="name of the model, e.g. delays")
    parser.set_defaults(do=seal)
    what = "verify and decrypt a release into a folder"
    parser = options.verb(verbs, "unseal", what, f"falaj unseal {_URI} out/opened")
    parser.add_argument("uri", help=_URI)
    parser.add_argument("folder", type=pathlib.Path, help="new or empty")
    parser.set_defaults(do=unseal)


def seal(arguments: argparse.Namespace) -> int:
    """Seal a folder."""
    store, keys = store_and_keys()
    sealed = release.seal(arguments.folder, model=arguments.model, facts={}, store=store, keys=keys)
    print(sealed.uri)
    return 0


def unseal(arguments: argparse.Namespace) -> int:
    """Verify and decrypt a release into a folder."""
    store, keys = store_and_keys()
    opened = release.unseal(arguments.uri, arguments.folder, store=store, keys=keys)
    print(f"{opened.uri} verified into {arguments.folder}")
    return 0


def store_and_keys() -> tuple[ObjectStore, KeyRing]:
    """Return what the environment names."""
    return (
        ObjectStore(Settings.from_environment(os.environ)),
        KeyRing.from_environment(os.environ),
    )
