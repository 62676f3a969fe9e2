"""The second FUSE adapter: the kernel's own protocol over /dev/fuse, with passthrough. For root.

A file whose handle has a backing descriptor (`Handle.backing`) is read by the kernel itself, as fast as a
plain file; its reads never reach the daemon, and its open descriptors and maps outlive it. Every other file
is served as by mfusepy, one node for each inode of the tree.

    protocol.py  numbers and layouts of the messages      session.py  the device, the mount, the workers
    opens.py     which node is read by whom               adapter.py  the operations over a tree
    watcher.py   unmounts after a daemon that was killed
"""
