"""The second FUSE adapter: the kernel's own protocol over /dev/fuse, with passthrough. For root.

A file whose handle has a backing descriptor (`Handle.backing`) is read by the kernel itself, as fast as a
plain file; its reads never reach the daemon, and its open descriptors and maps outlive it. Every other file
is served as by mfusepy, from the kernel's pages as far as they go.

    protocol.py    numbers and layouts of the messages    session.py  the device and the mount
    workers.py     the threads that answer                adapter.py  the operations over a tree
    interrupts.py  reads that nobody waits for            opens.py    which node is read by whom
    watcher.py     unmounts after a daemon that was killed
"""
