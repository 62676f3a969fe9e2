"""What an operator can ask of a running daemon, and have it do: no HTTP, no terminal here.

control.py    Control: every question and request
mounted.py    a mount of this daemon             names.py      what a path in a request means
reports.py    what is told, as data              figures.py    how it is found out
jobs.py       long work that goes on by itself   work.py       what it tells of itself meanwhile
tasks.py      warm, verify, export: one file     digests.py    the sha256 of files, once known
published.py  what files ought to be             problems.py   errors as data
ready.py      whether mounts answer
"""

from fsd.control.control import Control
from fsd.control.jobs import Jobs
from fsd.control.mounted import Mounted, Place

__all__ = ["Control", "Jobs", "Mounted", "Place"]
