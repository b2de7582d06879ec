"""The one device of this worker: which it is, and how much memory it has."""

import os

import torch

GIB = 1 << 30
SPARE = 0.94  # of a GPU's memory: the rest is the driver's, the context's and fragmentation's


def find() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def room_gib() -> float:
    """What models and renders may use in all, GiB."""
    if torch.cuda.is_available():
        _, total = torch.cuda.mem_get_info()
        return SPARE * total / GIB
    # On a CPU the database, the site and the worker's tail live in the same memory.
    return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
