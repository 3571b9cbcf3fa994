"""The initializer on a tmpfs of so many bytes, perhaps after one that was killed there.

    unshare --map-root-user --mount python -m tests.inference.initializer.on_tmpfs BYTES N SRC DST

It says whether it opened, and the folder then holds the release; killed is whoever changes it for
the Nth time (dying.py), or nobody, where N is "never".
"""

import pathlib
import subprocess
import sys

from inference.initializer.__main__ import main


def _mount(size: str, folder: str) -> None:
    pathlib.Path(folder).mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    subprocess.run(command, check=True)


def _die(number: str, source: str, folder: str) -> None:
    module = "tests.inference.initializer.dying"
    subprocess.run([sys.executable, "-m", module, number, source, folder], check=False)
    left = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())
    sys.stdout.write(f"{left} bytes were left\n")


if __name__ == "__main__":
    _mount(sys.argv[1], sys.argv[4])
    if sys.argv[2] != "never":
        _die(*sys.argv[2:])
    sys.exit(main(sys.argv[3:]))
