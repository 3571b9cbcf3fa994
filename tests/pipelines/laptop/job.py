"""A stand-in for a long job: a session whose step, and that step's child, never end by themselves.

Usage: job.py FOLDER [stubborn]; `job.py FOLDER step [stubborn]` is the step.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from components.foundation.errors import FalajError
from pipelines.laptop import session


def main(folder: pathlib.Path, how: list[str]) -> int:
    try:
        with session.running(folder) as laptop, concurrent.futures.ThreadPoolExecutor() as pool:
            command = [sys.executable, __file__, str(folder), "step", *how]
            pool.submit(subprocess.run, command, env={**os.environ, **laptop.environment}).result()
    except FalajError as error:
        print(error, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def step(how: list[str]) -> None:
    if how:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(KeyboardInterrupt), subprocess.Popen(["/bin/sleep", "600"]):
        print("working", flush=True)
        time.sleep(600)


if __name__ == "__main__":
    where, *rest = sys.argv[1:]
    if rest[:1] == ["step"]:
        step(rest[1:])
    else:
        sys.exit(main(pathlib.Path(where), rest))
