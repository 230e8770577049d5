"""Memory that a batch had is there for the next, not asked of the system anew."""

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import numpy as np
from ml_worker.recommenders.batches import ANSWERING_BYTES, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

{prepare}
for _ in range(3):
    np.ones(2 << 20, dtype=np.uint8)
before = faults()
for _ in range(10):
    scores, parts = np.ones(2 << 20, dtype=np.uint8), np.ones(2 << 20, dtype=np.uint8)
    del scores, parts
print(faults() - before)
"""


def count_faults(prepare: str) -> int:
    code = COUNT_FAULTS.format(prepare=prepare)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that gives memory back so early")
def test_freed_arrays_leave_their_memory_to_the_next():
    pages = 10 * 2 * (2 << 20) // 4096
    assert count_faults("keep_freed_memory(ANSWERING_BYTES)") < pages / 5


GIVE_BACK = """
from pathlib import Path
import numpy as np
from ml_worker.recommenders.batches import ANSWERING_BYTES, give_back_memory, keep_freed_memory

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

keep_freed_memory(ANSWERING_BYTES)
parts = [np.ones(2 << 20, dtype=np.uint8) for _ in range(6)]
kept = parts[-1]
del parts
before = pages()
give_back_memory()
print(before - pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that can be asked for it")
def test_what_was_freed_goes_back_to_the_system_when_asked_for():
    freed = int(subprocess.run([sys.executable, "-c", GIVE_BACK], check=True, capture_output=True, text=True).stdout)
    assert freed > 4 * (2 << 20) // 4096
