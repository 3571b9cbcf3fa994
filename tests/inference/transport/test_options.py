"""What a program on the transport is told: the limit on open files follows the connections."""

import subprocess
import sys

_PROGRAM = """
import argparse, resource, sys
from inference.transport import options
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
parser = argparse.ArgumentParser()
options.add_listening(parser)
options.add_bounds(parser)
options.add_security(parser)
told = ["--http_port", "0", "--connections", str(connections)]
options.Bounded.read(parser, told).bind().close()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def bound(soft: int, hard: int, connections: int) -> list[str]:
    """Bind in a program of its own with such limits; return what it says."""
    command = [sys.executable, "-c", _PROGRAM, str(soft), str(hard), str(connections)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [*done.stderr.splitlines(), *done.stdout.splitlines()]


def test_the_limit_on_files_is_raised_to_what_connections_need() -> None:
    assert bound(300, 5000, 2000) == ["2256"]


def test_a_limit_that_is_high_enough_is_left() -> None:
    assert bound(4000, 5000, 2000) == ["4000"]


def test_where_the_system_allows_fewer_it_says_how_many_there_will_be() -> None:
    assert bound(300, 1000, 2000) == [
        "the system allows 1000 open files, 744 connections; raise ulimit -n for 2000",
        "1000",
    ]
