"""A kubeconfig that names a server on loopback, over plain HTTP."""

import pathlib

import yaml


def written(folder: pathlib.Path, port: int) -> pathlib.Path:
    """Write one into a folder and return its path; the token is `secret`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
