from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HELD = """
from freellmapi.spare_memory import give_back

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4 // 1024

give_back()
before = resident()
# Pieces too small for a mapping of their own, one of 400 in use to the end.
pieces = [bytes(5000) for _ in range(8000)]
full = resident()
kept = pieces[::400]
del pieces
give_back()
print(before, full, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")
def test_what_is_free_between_pieces_in_use_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    before, full, after = map(int, done.stdout.split())
    assert full - before > 30, "MiB: it was there"
    assert after - before < 8
