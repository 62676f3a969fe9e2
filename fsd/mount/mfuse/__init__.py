"""The FUSE adapter that works everywhere: mfusepy over libfuse 3.

libfuse knows files by path alone, and its interface waits in a thread for each answer.

    binding.py   mfusepy, without its copies      names.py   what the kernel believes of each path
    adapter.py   the operations over a tree       lines.py   listings as libfuse takes them
"""

from fsd.mount.mfuse.adapter import Adapter

__all__ = ["Adapter"]
