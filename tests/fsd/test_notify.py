"""sd_notify's protocol, against a real datagram socket: READY after an answer, figures, pings, STOPPING.

The daemons are real ones over a source that can be made to stall, so that an answer comes when a test lets
it. Nothing depends on how long something takes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsd.daemon import notify
from fsd.daemon.notify import Service
from tests.fsd.mounting import (
    ADAPTERS,
    PRISMFS,
    ROOT,
    Daemon,
    children,
    environment,
    is_mounted,
    unmount,
    until,
)

# A daemon over a plain directory that tells `notify` what `prismfs mount` does. Its mount answers no request
# while the file `hold` is in its home; watchdog and figures are those of the real thing.
DAEMON = Path(__file__).with_name("notifying_daemon.py")


class Manager:
    """A service manager's socket, and what came over it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(60)

    def next(self) -> list[str]:
        """The next message, by lines."""
        return self._socket.recv(4096).decode().splitlines()

    def until(self, line: str) -> list[list[str]]:
        """The messages up to the one that has this line."""
        seen = [self.next()]
        while line not in seen[-1]:
            seen.append(self.next())
        return seen

    def waiting(self) -> list[list[str]]:
        """What has come and was not taken yet."""
        self._socket.settimeout(0)
        seen = []
        try:
            while True:
                seen.append(self.next())
        except BlockingIOError:
            return seen
        finally:
            self._socket.settimeout(60)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    own = Manager(path if request.param == "path" else f"@prismfs-test-{os.getpid()}-{id(tmp_path)}")
    yield own
    own.close()


@pytest.fixture
def by_path(tmp_path: Path) -> Iterator[Manager]:
    own = Manager(str(tmp_path / "notify"))
    yield own
    own.close()


def test_a_message_arrives(manager: Manager) -> None:
    Service(manager.address).tell("READY=1", "STATUS=Größe")
    assert manager.next() == ["READY=1", "STATUS=Größe"]


def test_the_variables_are_taken_from_the_environment() -> None:
    variables = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    given = {**variables, "HOME": "/"}
    assert Service.taken(given) == Service("/run/x", 30.0)
    assert given == {"HOME": "/"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Service()),
        ({"NOTIFY_SOCKET": ""}, Service()),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, Service()),
        ({"WATCHDOG_USEC": "30000000"}, Service()),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "500000"}, Service("@a", 0.5)),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "soon"}, Service("@a")),
        ({"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, Service("@a")),
    ],
)
def test_what_the_variables_mean(given: dict[str, str], expected: Service) -> None:
    assert Service.taken(given) == expected
    assert given == {}


def test_a_manager_that_is_gone_is_no_reason_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Service(str(tmp_path / "nobody")).tell("READY=1")
    assert "cannot be told READY=1" in caplog.text


def test_figures_are_told_again_and_again(
    by_path: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "STATUS_SECONDS", 0.05)
    figures = iter(range(1000))
    with notify.telling(Service(by_path.address), [tmp_path], lambda: f"{next(figures)} reads") as told:
        told.mounted()
        assert by_path.next() == ["READY=1", "STATUS=0 reads"]
        assert by_path.next() == ["STATUS=1 reads"]
        assert by_path.next() == ["STATUS=2 reads"]
    messages = by_path.until("STOPPING=1")
    assert all(len(message) == 1 and message[0].startswith("STATUS=") for message in messages[:-1])


def test_nothing_is_told_after_stopping(by_path: Manager, tmp_path: Path) -> None:
    with notify.telling(Service(by_path.address), [tmp_path], lambda: "") as told:
        told.stopping()
        told.mounted()
        told.stopping()
    assert by_path.waiting() == [["STOPPING=1", "STATUS=Unmounting"]]


def test_without_a_manager_nothing_is_asked(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError("nobody wants figures")

    with notify.telling(Service(), [tmp_path], never) as told:
        told.mounted()
        told.stopping()


@contextmanager
def daemon(base: Path, fuse: str, manager: Manager, watchdog: float = 0.0) -> Iterator[Daemon]:
    """The daemon, from its start on: its mount need not answer yet."""
    source, mountpoint, home = base / "source", base / "mnt", base / "home"
    source.mkdir()
    home.mkdir(exist_ok=True)
    given = {"NOTIFY_SOCKET": manager.address}
    if watchdog:
        given["WATCHDOG_USEC"] = str(round(watchdog * 1e6))
    command = [sys.executable, str(DAEMON), str(source), str(mountpoint), fuse, str(home)]
    log_file = home / "log"
    with log_file.open("wb") as log:
        env = environment(home) | given
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=ROOT
        )
    try:
        yield Daemon(process, source, mountpoint, log_file)
    finally:
        (home / "hold").unlink(missing_ok=True)
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        unmount(mountpoint)


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_ready_comes_after_the_mount_answered(fuse: str, by_path: Manager, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "home").mkdir()
    hold = base / "home" / "hold"
    hold.touch()
    with daemon(base, fuse, by_path) as running:
        until(lambda: "a request is held" in running.log, "the mount is asked")
        assert is_mounted(running.mountpoint)
        assert by_path.waiting() == []
        hold.unlink()
        ready = by_path.next()
        assert ready[0] == "READY=1"
        assert ready[1].startswith("STATUS=")
        running.process.terminate()
        assert by_path.next() == ["STOPPING=1", "STATUS=Unmounting"]
        assert running.process.wait(30) == 0
    assert by_path.waiting() == []


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_a_mount_that_hangs_is_not_fed(fuse: str, by_path: Manager, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    with daemon(base, fuse, by_path, watchdog=1.0) as running:
        by_path.until("READY=1")
        by_path.until("WATCHDOG=1")
        (base / "home" / "hold").touch()
        by_path.until("STATUS=A mount does not answer")
        # The question that hangs is the only one, however long it is watched.
        assert by_path.waiting() == []
        assert [child for child in children(running.process.pid) if name_of(child) == "stat"]
        (base / "home" / "hold").unlink()
        by_path.until("WATCHDOG=1")  # it answers again, and is fed again


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_children_are_not_told_of_the_manager(fuse: str, by_path: Manager, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    with daemon(base, fuse, by_path) as running:
        by_path.until("READY=1")
        watchers = children(running.process.pid)
        assert watchers
        for child in watchers:
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            assert not [variable for variable in variables if variable.startswith(b"NOTIFY_SOCKET")]


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_the_real_daemon_tells_its_figures(fuse: str, by_path: Manager, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "models").mkdir()
    options = ["--fuse", fuse, "--no-cache", "--api-socket", "none"]
    command = [*PRISMFS, "mount", *options, str(base / "models"), str(base / "mnt")]
    env = environment(base / "home") | {"NOTIFY_SOCKET": by_path.address}
    (base / "home").mkdir()
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=base
        )
    try:
        assert by_path.next() == [
            "READY=1",
            "STATUS=1 mount; reads: 0, 0.00 GiB; chunks translated: 0; kept: 0.00 GiB; errors: 0",
        ]
        process.terminate()
        assert by_path.next() == ["STOPPING=1", "STATUS=Unmounting"]
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
        unmount(base / "mnt")
