"""fsd: the file system daemon. It knows names, ranges, caching, concurrency, operation; nothing of tensors.

    tree = Tree(source, engine, planner, types)    # what exists under the mount, and what it is called
    handle = tree.open(ino)                        # inode-based: no FUSE binding is known below `fsd.mount`
    handle.read(offset, size)

It sees `translators` through a small surface: open_model, plans, Layout, the recogniser of names and the
tree of errors. Imports point downwards: cli -> mount -> tree -> engine, planner -> config, errors.
"""
