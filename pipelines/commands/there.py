"""What commands share that speak to Kubeflow Pipelines: who we are there, and what we send."""

import argparse
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from components.foundation.errors import UserError
from pipelines.kubeflow.identity import AUTHORITIES, COOKIE, TOKEN, TOKEN_PATH, Identity

if TYPE_CHECKING:
    from components.foundation.site import Site
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.uploading import Uploaded
    from pipelines.place import Place
    from pipelines.project import Project


def identity(parser: argparse.ArgumentParser) -> None:
    """Add who we are to KFP's API; without an option, the environment says it."""
    token = f"file of a token; without it {TOKEN}, {TOKEN_PATH} or {COOKIE} is sent"
    parser.add_argument("--token-file", type=pathlib.Path, metavar="FILE", help=token)
    believed = f"PEM file of the authorities to believe; without it {AUTHORITIES}"
    parser.add_argument("--ca-file", type=pathlib.Path, metavar="FILE", help=believed)
    unsafe = "believe any certificate: whoever is on the way reads the token"
    parser.add_argument("--unsafe-skip-tls", action="store_true", help=unsafe)


def tags(parser: argparse.ArgumentParser) -> None:
    what = "mark the version, new or there already, e.g. revision=4c1f; may be repeated"
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", dest="tags", help=what
    )


def experiment(arguments: argparse.Namespace, site: "Site") -> str:
    """Return what runs are gathered under: what is named, else the site's."""
    return arguments.experiment or (site.pipelines.experiment if site.pipelines else "")


def client(arguments: argparse.Namespace, site: "Site") -> "Client":
    """Connect to the API that a site names, as who the command line or environment says."""
    from pipelines.kubeflow.client import Client

    who = Identity.of(
        os.environ,
        token_file=arguments.token_file,
        authorities=arguments.ca_file,
        unsafe_skip_tls_verification=arguments.unsafe_skip_tls,
    )
    return Client.at(site, who, os.environ)


def cluster(name: str) -> "Place":
    """Read a site that is a cluster; a laptop has no API to speak to."""
    from pipelines.place import Place

    place = Place.named(name)
    if not place.on_kubernetes:
        raise UserError(
            f"site {name}: is a laptop; name a cluster with --site, or use `falaj run`",
            code="site-is-a-laptop",
        )
    place.hold()
    return place


@contextmanager
def compiled(
    names: Sequence[str], project: "Project", place: "Place"
) -> Iterator[dict[str, tuple[pathlib.Path, Any]]]:
    """Compile pipelines to files that are checked as `falaj compile` does, and removed after."""
    from kfp import compiler

    from pipelines import compiled
    from pipelines.commands import compile

    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name in names or compiled.names(project):
            pipeline = compiled.pipeline(name, project, place)
            file = pathlib.Path(folder) / f"{name}.yaml"
            compiler.Compiler().compile(pipeline, str(file))
            made[name] = (file, pipeline)
        compile.check([file for file, _ in made.values()], place.site)
        yield made


def upload(
    client: "Client", file: pathlib.Path, project: "Project", arguments: argparse.Namespace
) -> "Uploaded":
    from pipelines.kubeflow import names, uploading

    return uploading.upload(client, file, project=project.name, tags=names.tags(arguments.tags))
