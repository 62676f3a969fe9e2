"""What exists under the mount, what it is called, and what each name leads to. No FUSE here.

    tree = Tree(source, planner, engine, types=options.types)
    attributes = tree.lookup(tree.ROOT, "Qwen2.5-7B-Instruct")
    tree.entries(attributes.ino)
    with tree.open(ino) as handle: handle.read(offset, size)

    MNT/<model>/                       always, also for a source that is one model; see places.py, hub.py
    MNT/<model>/<source file>          every source file under its own name, which goes before all others
    MNT/<model>/model.gguf-<type>      and whatever else the planner says; found in any case; see forms.py
    MNT/<model>/gguf/<Model>-<TYPE>.gguf   the same inode
    MNT/.prismfs/status.json           see status.py
    MNT/.prismfs/SHA256SUMS            see sums.py
    MNT/.prismfs/ollama/ hub/ lmstudio/    the models as these programs' own stores; see views/

Names are str as `os.fsdecode` makes them: a name need not be text. An inode number means one thing as long
as the daemon runs: when a source changes, its virtual files are others, with other numbers, and the old ones
are stale (invariant I3). Nothing is looked at before it is asked for: a listing of the top reads directories
alone; a model is planned when its own directory is listed, or a name in it is asked for that no source file
has, or when its neighbours are listed in a row (ahead.py). No tensor data is read for any of it (I1).

    nodes.py     what there can be, and inode numbers     handles.py   open files
    places.py    where models lie                         hub.py       a hub cache's layout
    models.py    a model's directory:
    stored.py    its source files                         forms.py     its virtual files
    ahead.py     listings one after another
    status.py    status.json                              reports.py   what `prismfs ls` says
    sums.py      SHA256SUMS                               catalogue.py models told whole, to the inside
    listings.py  what directories showed, while they last
    news.py      what a changed source makes look different
"""

from fsd.tree.catalogue import FileNode, Found, ModelContents
from fsd.tree.handles import Handle
from fsd.tree.news import Changes, News, Spot
from fsd.tree.nodes import Attributes, Folder, ModelSource
from fsd.tree.reports import EntryReport, ModelNode, ModelReport
from fsd.tree.tree import Tree

__all__ = [
    "Attributes", "Changes", "EntryReport", "FileNode", "Folder", "Found", "Handle", "ModelContents",
    "ModelNode", "ModelReport", "ModelSource", "News", "Spot", "Tree",
]  # fmt: skip
