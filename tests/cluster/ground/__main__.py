"""Keep a control plane running for many runs of tests, until Ctrl-C.

Usage: python -m tests.cluster.ground; it prints the line to run tests with. A run on a kept one
starts at once, and finds what earlier runs left in it.
"""

import os
import pathlib
import signal
import sys
import tempfile

from tests.cluster.ground import build, control_plane, crds, loading


def main() -> int:
    """Start one, say how to use it, and wait."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="falaj-cluster-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with control_plane.running(build.folder(os.environ), folder) as access:
        loading.load(access, crds.chosen(os.environ))
        loading.add_nodes(access, count=3)
        access.keep()
        print(f"definitions from {crds.source(os.environ)}")
        print(f"export FALAJ_TEST_CLUSTER={folder} KUBECONFIG={access.kubeconfig()}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
