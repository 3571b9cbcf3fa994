"""Where Feast's plug-ins find the object store.

Feast constructs our offline store and registry store itself, from feature_store.yaml, which
must not hold keys. So this is the one place below the faces that reads the environment.
"""

import os

from components.foundation.storage import Settings


def object_store() -> Settings:
    """Read the AWS_* names; raises UserError naming the first that is missing."""
    return Settings.from_environment(os.environ)
