"""What an operator can ask of a running daemon, and have it do: no HTTP, no terminal here.

reports.py    what is told, as data
mounted.py    a mount of this daemon
"""

from fsd.control.mounted import Mounted, Place

__all__ = ["Mounted", "Place"]
