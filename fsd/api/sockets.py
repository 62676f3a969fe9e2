"""The two listeners of the API, bound: a Unix socket that one daemon has, and a loopback address.

A socket file that nobody listens on any more is replaced, one of a live daemon never; a lock on the directory
keeps two daemons that start at once from taking each other's. Its mode is set before anybody can connect.
Knows nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fsd.api.offers import usual_socket
from fsd.config import Options
from fsd.errors import BadOption

log = logging.getLogger(__name__)

BACKLOG = 128
LONGEST = 107  # bytes of a Unix socket's path: sockaddr_un has 108, with the last one 0
_DEAD = (errno.ECONNREFUSED, errno.ENOENT)


@dataclass(frozen=True)
class Unix:
    """A Unix socket that listens at `path`."""

    socket: socket.socket
    path: Path


@dataclass(frozen=True)
class Tcp:
    """A TCP socket that listens at a loopback address; `host` is a number, without brackets."""

    socket: socket.socket
    host: str
    port: int

    @property
    def address(self) -> str:
        """As a browser takes it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@contextlib.contextmanager
def unix(options: Options) -> Iterator[Unix | None]:
    """The Unix socket of --api-socket, removed with the block; None where there is to be none.

    Raises BadOption where one that was named cannot be had. The usual one has a second name for a second
    daemon, control-PID.sock; where neither can be had there is none, with a warning.
    """
    if options.api_socket == "none":
        yield None
        return
    group = _group(options.api_group)
    bound: Unix | None
    if options.api_socket == "auto":
        bound = _usual(group)
    else:
        path = Path(options.api_socket).expanduser().absolute()
        try:
            bound = _bound(path, group)
        except OSError as error:
            raise _unfit("--api-socket", path, error.strerror or str(error)) from error
        if bound is None:
            raise _unfit("--api-socket", path, "a live daemon listens on it", "name another one")
    if bound is None:
        yield None
        return
    own = bound.path.lstat()
    try:
        yield bound
    finally:
        bound.socket.close()
        with contextlib.suppress(OSError), _locked(bound.path.parent):
            if os.path.samestat(bound.path.lstat(), own):  # else somebody has cleared it away already
                bound.path.unlink()


@contextlib.contextmanager
def tcp(listen: str) -> Iterator[Tcp | None]:
    """The listener on `listen`, as 127.0.0.1:8777 or [::1]:8777; None of "". Port 0 stands for a free one.

    Raises BadOption: for whatever is no loopback address, and where it cannot be had.
    """
    if not listen:
        yield None
        return
    host, port = _address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise BadOption(f"--api-listen cannot be {listen!r}: {error.strerror}") from error
        yield Tcp(listener, host, listener.getsockname()[1])


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host.lower() == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise BadOption(f"--api-listen cannot be {listen!r}: it is HOST:PORT, as 127.0.0.1:8777") from None
    if not address.is_loopback:
        remedy = "listen on 127.0.0.1, and let a proxy or an SSH tunnel lead there"
        raise BadOption(f"--api-listen cannot be {listen!r}: it is no loopback address", remedy=remedy)
    if not 0 <= number < 1 << 16:
        raise BadOption(f"--api-listen cannot be {listen!r}: there is no such port")
    return str(address), number


def _usual(group: int | None) -> Unix | None:
    path = usual_socket()
    if path is None:
        log.warning("there is no API socket: XDG_RUNTIME_DIR is not set; name one with --api-socket")
        return None
    try:
        made = _directory(path.parent, group)
        if not made and path.parent.lstat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "its directory belongs to another user")
        if group is not None:
            path.parent.chmod(0o755)
        return _bound(path, group) or _bound(path.with_name(f"control-{os.getpid()}.sock"), group)
    except OSError as error:
        log.warning("there is no API socket: %s: %s", path, error.strerror or error)
        return None


def _bound(path: Path, group: int | None) -> Unix | None:
    """A listener at `path`; None where a live one is there. Raises OSError, also for what is no socket."""
    if len(os.fsencode(path)) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path has at most {LONGEST} bytes")
    _directory(path.parent, group)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(path.parent):
            if not _free(path):
                listener.close()
                return None
            os.fchmod(listener.fileno(), 0o600)  # which the file then is made with
            listener.bind(str(path))
            if group is not None:
                os.chown(path, -1, group)
                path.chmod(0o660)
            listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return Unix(listener, path)


def _free(path: Path) -> bool:
    """Whether `path` can be bound, once a dead daemon's socket is away. OSError for what is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "something else has this name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        if caller.connect_ex(str(path)) not in _DEAD:
            return False
    path.unlink(missing_ok=True)
    return True


def _directory(path: Path, group: int | None) -> bool:
    """Make the directory of a socket, if it is not there; returns whether it was made."""
    if path.is_dir():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700 if group is None else 0o755, exist_ok=True)
    return True


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        remedy = f"make it: groupadd --system {name}"
        raise BadOption(f"--api-group cannot be {name!r}: there is no such group", remedy=remedy) from None


def _unfit(flag: str, path: Path, reason: str, remedy: str = "") -> BadOption:
    return BadOption(f"{flag} cannot be used: {reason}", path=str(path), remedy=remedy)
