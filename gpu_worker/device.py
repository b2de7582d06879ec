"""The one device of this worker: which it is, and how much memory it has."""

import os
from pathlib import Path

import torch

GIB = 1 << 30
SPARE = 0.94  # of a GPU's memory: the rest is the driver's, the context's and fragmentation's


def find() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def uuid() -> str | None:
    """Of the GPU, or of the slice of one, as the driver knows it; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)


def room_gib() -> float:
    """What models and renders may use in all, GiB."""
    if torch.cuda.is_available():
        _, total = torch.cuda.mem_get_info()
        return SPARE * total / GIB
    # On a CPU the database, the site and the worker's tail live in the same memory.
    return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def memory() -> tuple[int, int]:
    """Bytes in use and in all, of the whole GPU; on a CPU what this process holds of the machine's.

    Any thread may ask. Raises RuntimeError when the GPU is broken, OSError where Linux is not.
    """
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return total - free, total
    page = os.sysconf("SC_PAGE_SIZE")
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return resident * page, os.sysconf("SC_PHYS_PAGES") * page
