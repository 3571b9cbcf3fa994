"""Attest where bytes lie: python -m components.governance.attest_residency.

Asks the cluster that KUBECONFIG names, else the one it runs in, and the store of AWS_*; signs with
the key ring of FALAJ_KEYS. Exit code 0: as the law allows; 3: it is not; 75: look again.
"""

import os
import sys

from components.foundation.errors import FalajError


def main() -> int:
    """Look once; return the exit code."""
    from components.foundation.buckets import keeper
    from components.foundation.kubernetes.client import Cluster
    from components.foundation.sealing.keys import KeyRing
    from components.foundation.storage import ObjectStore, Settings
    from components.governance.attest_residency import attestor
    from components.governance.attest_residency.declared import Declared

    try:
        settings = Settings.from_environment(os.environ)
        declared = Declared.from_environment(os.environ)
        cluster = Cluster.connect(os.environ, namespace=declared.namespace)
        looking = attestor.Attestor(declared, cluster, keeper.client(settings))
        keys = KeyRing.from_environment(os.environ)
        for line in attestor.attest(looking, store=ObjectStore(settings), keys=keys):
            print(line)
    except FalajError as error:
        print(f"attestor: {error.shown}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
