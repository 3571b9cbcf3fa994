"""End breakglass when it is over: python -m components.governance.breakglass.

Asks the cluster that KUBECONFIG names, else the one it runs in, about FALAJ_NAMESPACE.
"""

import datetime
import os
import sys

from components.foundation.errors import FalajError
from components.foundation.kubernetes.client import Cluster
from components.governance.breakglass import ending


def main() -> int:
    """Look once; return the exit code."""
    try:
        cluster = Cluster.connect(os.environ)
        print(ending.end(cluster, now=datetime.datetime.now(datetime.UTC)))
    except FalajError as error:
        print(f"breakglass: {error.shown}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
