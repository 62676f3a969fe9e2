"""Sources that change: which models came, changed and went, and who has to be told.

    with watching(tree, adapter, settle=1, poll=2) as watch:   # before the tree is served
        watch.listen(lambda changes: ...)
        watch.rescan()

What counts is what a look finds: names, sizes, times and inode numbers. Events only have it look sooner, so
that a file system without them, or a queue that ran over, costs a moment and nothing else. A model that was
there at the start is shown at once; one that comes later when it has been unchanged for `settle` seconds,
nobody has a file of it open for writing, and no file is missing that its own names speak of.

    lookout.py    the process that looks           watch.py      who is told of what it found
    census.py     what a source holds now          settling.py   which of it is shown, by a clock
    complete.py   what is missing of a model       events.py     inotify, through watchdog
    found.py      what the process says
"""

from fsd.watch.watch import Watch, watching

__all__ = ["Watch", "watching"]
