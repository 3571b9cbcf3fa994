"""Build the images, push them, and write their digests where pipelines and manifests read them.

Usage: python -m images.build --base python@sha256:... --registry registry.example/falaj
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from images.families import FAMILIES, ROOT

LOCK = ROOT / "components" / "images.yaml"
KUSTOMIZE = ROOT / "kustomize" / "components" / "images" / "kustomization.yaml"
PLACEHOLDER = "registry.falaj.example/falaj"  # what manifests/ name; the site says which registry

_MIRRORS = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")  # without a value: taken from our environment
_PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_LOCK_HEAD = """\
# Image family -> the exact image that runs. `make images` builds them and writes digests here.
# All-zero digests mean: not built and pushed yet. Triton is not built here: copy NVIDIA's image to
# your registry as falaj/triton, write its digest here, and build any family.
"""
_KUSTOMIZE_HEAD = """\
# Written by images/build.py from components/images.yaml: the digests that run. Which registry they
# are pulled from is said by the site (FALAJ_REGISTRY).
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configurations:
  - fields.yaml
images:
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Build and push the chosen families; write both files."""
    options = _parser().parse_args(argv)
    builder = Builder(options.tool, options.base, options.registry, options.project)
    lock = read_lock()
    for family in options.family or FAMILIES:
        lock[family] = builder.make(family, revision=_revision())
        print(f"{family}: {lock[family]}")
    LOCK.write_text(lock_text(lock))
    KUSTOMIZE.write_text(kustomize_text(lock))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__)
    parser.add_argument("--base", required=True, type=_pinned, help="python 3.11 slim, by digest")
    parser.add_argument("--registry", required=True, type=_registry, help="where: host/falaj")
    parser.add_argument("--tool", default="docker", choices=["docker", "podman"])
    parser.add_argument("--project", default="examples", help="folder with the project's code")
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="default: all")
    return parser


def _pinned(image: str) -> str:
    if not _PINNED.fullmatch(image):
        raise argparse.ArgumentTypeError(
            f"{image!r} is not pinned; expected name@sha256: and 64 hex digits"
        )
    return image


def _registry(place: str) -> str:
    if not place.rstrip("/").endswith("/falaj"):
        raise argparse.ArgumentTypeError(
            f"{place!r} does not end in /falaj; manifests look for images there: say {place}/falaj"
        )
    return place.rstrip("/")


def _revision() -> str:
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return head.stdout.strip()


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds one family after another with docker or podman."""

    tool: str
    base: str
    registry: str
    project: str = "examples"

    def make(self, family: str, *, revision: str) -> str:
        """Build and push one family; return it as repository@sha256:digest."""
        repository = f"{self.registry}/{family}"
        tag = f"{repository}:{revision[:12]}"
        self._run("build", *self._arguments(family, revision), "--tag", tag, ".")
        self._run("push", tag)
        answer = self._run("image", "inspect", "--format", "{{json .RepoDigests}}", tag)
        [pinned] = [one for one in json.loads(answer) if one.startswith(f"{repository}@")]
        return _pinned(pinned)

    def _arguments(self, family: str, revision: str) -> list[str]:
        values = {"BASE": self.base, "REVISION": revision, "PROJECT": self.project}
        pairs = [part for pair in values.items() for part in ("--build-arg", "=".join(pair))]
        pairs += [part for name in _MIRRORS for part in ("--build-arg", name)]
        return [*pairs, "--file", f"images/{family}/Dockerfile"]

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.tool, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout


def read_lock() -> dict[str, str]:
    lock: dict[str, str] = yaml.safe_load(LOCK.read_text())
    return lock


def lock_text(lock: Mapping[str, str]) -> str:
    """Return what components/images.yaml holds for these images."""
    return _LOCK_HEAD + "".join(f"{family}: {image}\n" for family, image in lock.items())


def kustomize_text(lock: Mapping[str, str]) -> str:
    """Return the kustomize component that puts these images into the manifests."""
    return _KUSTOMIZE_HEAD + "".join(_replacement(family, image) for family, image in lock.items())


def _replacement(family: str, image: str) -> str:
    return f"  - {{name: {PLACEHOLDER}/{family}, digest: {image.partition('@')[2]}}}\n"


if __name__ == "__main__":
    sys.exit(main())
