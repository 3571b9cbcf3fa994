"""The server with little time to end, for tests that would wait it out."""

import sys

from inference.server import __main__, process

setattr(process, "DRAIN_SECONDS", 1.0)  # noqa: B010 - a constant to everybody else

if __name__ == "__main__":
    sys.exit(__main__.main())
