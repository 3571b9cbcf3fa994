"""Memory that was freed is used again, where glibc alone would have had it zeroed anew."""

import subprocess
import sys

BODIES = 20
PAGES = (6 << 20) // 4096  # of one body
PROGRAM = f"""
import resource
import sys
from inference.server import memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    memory.keep()
four = [bytearray(6 << 20) for _ in range(4)]
del four
before = faults()
for _ in range({BODIES}):
    four = [bytearray(6 << 20) for _ in range(4)]
    del four
print(faults() - before)
"""


def faulted(how: str) -> int:
    """Return how many pages the system had to bring for four bodies, made and freed in turn."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_bodies_take_the_memory_of_those_before_them() -> None:
    assert faulted("keep") < PAGES < BODIES * PAGES < faulted("as it is")
