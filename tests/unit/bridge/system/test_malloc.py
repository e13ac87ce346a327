"""What the C library does with memory that was freed; each test in a process of its own, since it cannot be undone."""

from __future__ import annotations

import sys

from support import process

# A page that is used for the first time is a page fault.
PROGRAM = """
import resource
import sys
from bridge.system.malloc import keep_freed_memory

def use():
    return [bytearray(1_000_000) for _ in range(5)]

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(10):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(process.run(command, check=True).stdout)


def test_what_a_scan_of_a_megabyte_took_is_there_for_the_next_one() -> None:
    assert page_faults("keep") < 100


def test_without_that_it_would_be_taken_anew_each_time() -> None:
    assert page_faults("default") > 1000
