"""What the opener of releases leaves beside a model."""

import json
import pathlib
from typing import Any

from components.foundation import digests


def release_json(folder: pathlib.Path, **change: Any) -> None:
    """Make a plain folder look opened from a release of `delays`."""
    files = {
        path.relative_to(folder).as_posix(): str(digests.of_file(path))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "release.json"
    }
    value = {"model": "delays", "version": "0123456789ab", "files": files, **change}
    (folder / "release.json").write_text(json.dumps(value))
