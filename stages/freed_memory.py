"""Keeps freed memory in a process that computes with large arrays, so that the next arrays use its pages again."""

import ctypes

# <malloc.h> of glibc.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_LARGEST_ARRAY = 64 << 20  # a spectrum of a face of 1024 px has 32 MB
_MOST_KEPT = 256 << 20


def keep_freed_memory() -> bool:
    """Whether this process now keeps up to 256 MB of freed memory; False where its C library is not glibc.

    By default glibc gives the pages of large arrays back to the system and gets new ones, which the system fills with
    zeros: that is a third of the time of a blur by FFT.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_ARRAY) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
