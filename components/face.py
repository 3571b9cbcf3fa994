"""The one helper that turns a function into a KFP component."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import yaml
from kfp import dsl

_LOCK = pathlib.Path(__file__).with_name("images.yaml")


@functools.cache
def images() -> dict[str, str]:
    """Read the image lock: family -> repository@sha256:digest."""
    locked: dict[str, str] = yaml.safe_load(_LOCK.read_text())
    return locked


def component(family: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a component that runs in an image family and installs nothing."""
    return functools.partial(dsl.component, base_image=images()[family], install_kfp_package=False)
