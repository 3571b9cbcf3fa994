"""Run one pipeline of a project against services that somebody else started.

Usage: whole_run.py PROJECT PIPELINE RUNS; the environment says where the services are. Ends with
the exit code that `falaj run` would give, and prints what it would say.
"""

import os
import pathlib
import sys

from components.foundation.errors import FalajError
from pipelines import compiled
from pipelines.laptop.runner import LocalRunner, code_digest
from pipelines.place import Place
from pipelines.project import load


def main(project_folder: str, pipeline: str, runs: str) -> int:
    project = load(pathlib.Path(project_folder))
    environment = {**os.environ, **project.environment}
    runner = LocalRunner(pathlib.Path(runs), environment, code=code_digest(project.folder))
    try:
        runner.run(compiled.pipeline(pipeline, project, Place.named("laptop")), {})
    except FalajError as error:
        print(error.shown)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
