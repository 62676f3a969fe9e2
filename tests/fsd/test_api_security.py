"""Who may do what over the API: the socket's file, the token, Host and Origin, lengths, names."""

from __future__ import annotations

import grp
import os
import socket as sockets
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fsd.api import offers
from fsd.api.bounds import BODY_BYTES
from fsd.errors import BadOption
from tests.fsd.api_client import FakeControl, offered, on_socket, short_directory
from tests.fsd.mounting import is_mounted, prismfs

TOKEN = "0123456789abcdef0123456789abcdef"
ASKING = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/status", "/v1/models", "/v1/jobs")
CHANGES = (("POST", "/v1/pin"), ("POST", "/v1/rescan"), ("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/1"))


@pytest.fixture
def directory() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def token_file() -> Iterator[Path]:
    with short_directory() as directory:
        path = directory / "token"
        path.write_text(f"{TOKEN}\n")
        path.chmod(0o640)
        yield path


@pytest.fixture(scope="module")
def served(token_file: Path) -> Iterator[tuple[FakeControl, str]]:
    control = FakeControl()
    with offered(control, api_listen="127.0.0.1:0", api_token_file=str(token_file)) as offer:
        assert offer.address is not None
        yield control, offer.address


@pytest.fixture
def control(served: tuple[FakeControl, str]) -> FakeControl:
    served[0].forget()
    return served[0]


@pytest.fixture
def client(served: tuple[FakeControl, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[1], timeout=60, trust_env=False, verify=False) as client:
        yield client


def kind(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["kind"]


# TCP: the token.


def test_reading_needs_no_token(client: httpx.Client) -> None:
    assert [client.get(path).status_code for path in ASKING] == [200] * len(ASKING)


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_changes_need_the_token(
    client: httpx.Client, control: FakeControl, method: str, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    response = client.request(method, path, json={"path": "x"}, headers=headers)
    assert kind(response) == (401, "TokenRequired")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert control.asked == []


def test_a_token_that_is_not_even_text(client: httpx.Client, control: FakeControl) -> None:
    response = client.post("/v1/rescan", headers={"Authorization": b"Bearer \xff\xfe"})
    assert kind(response) == (401, "TokenRequired")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_changes_are_made(client: httpx.Client, control: FakeControl, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert client.post("/v1/pin", json={"path": "x"}, headers=headers).status_code == 200
    assert control.asked == [("pin", "x", True)]


def test_without_a_token_file_nothing_is_changed(directory: Path) -> None:
    control = FakeControl()
    with offered(control, api_listen="localhost:0") as offer:
        response = httpx.post(f"{offer.address}/v1/rescan", trust_env=False, verify=False)
        assert kind(response) == (403, "ChangesRefused")
        assert "--api-token-file" in response.json()["hint"]
    assert control.asked == []


def test_the_token_can_be_changed_and_withdrawn(directory: Path) -> None:
    path = directory / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)

    def tried(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        where = f"{offer.address}/v1/rescan"
        return httpx.post(where, headers=headers, trust_env=False, verify=False).status_code

    with offered(FakeControl(), api_listen="[::1]:0", api_token_file=str(path)) as offer:
        assert (tried(TOKEN), tried(TOKEN[::-1])) == (200, 401)
        path.write_text(TOKEN[::-1])
        assert (tried(TOKEN), tried(TOKEN[::-1])) == (401, 200)
        path.chmod(0o644)
        assert tried(TOKEN[::-1]) == 403
        path.chmod(0o600)
        assert tried(TOKEN[::-1]) == 200
        path.unlink()
        assert tried(TOKEN[::-1]) == 403


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602])
def test_a_token_that_everybody_can_read_is_refused(directory: Path, mode: int) -> None:
    (directory / "token").write_text(TOKEN)
    (directory / "token").chmod(mode)
    with pytest.raises(BadOption, match="everybody") as refused:
        offered(FakeControl(), api_listen="127.0.0.1:0", api_token_file=str(directory / "token")).__enter__()
    assert "chmod 600" in refused.value.remedy


@pytest.mark.parametrize("content", ["", "   \n", "short"])
def test_a_token_that_can_be_guessed_is_refused(directory: Path, content: str) -> None:
    (directory / "token").write_text(content)
    (directory / "token").chmod(0o600)
    with pytest.raises(BadOption, match="characters"):
        offered(FakeControl(), api_listen="127.0.0.1:0", api_token_file=str(directory / "token")).__enter__()


def test_a_token_file_that_is_none_is_refused(directory: Path) -> None:
    os.mkfifo(directory / "pipe", 0o600)
    for name in ("missing", "pipe", "."):
        with pytest.raises(BadOption, match="api-token-file"):
            offered(FakeControl(), api_listen="127.0.0.1:0", api_token_file=str(directory / name)).__enter__()


# TCP: other sites.


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_our_own_names(client: httpx.Client, host: str) -> None:
    headers = {"Host": f"{host}:{client.base_url.port}"}
    assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:PORT", "localhost", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil:PORT",
     "127.0.0.1:PORT.evil", "0.0.0.0:PORT", "localhost:PORT@evil"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/v1/models", "/healthz", "/openapi.json", "/nothing"])
def test_foreign_names(client: httpx.Client, control: FakeControl, host: str, path: str) -> None:
    headers = {"Host": host.replace("PORT", str(client.base_url.port))}
    assert kind(client.get(path, headers=headers)) == (403, "ForeignOrigin")
    assert control.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_changes_from_another_sites_page(
    client: httpx.Client, control: FakeControl, headers: dict[str, str]
) -> None:
    port = str(client.base_url.port)
    sent = {name: value.replace("PORT", port) for name, value in headers.items()}
    response = client.post("/v1/rescan", headers={"Authorization": f"Bearer {TOKEN}", **sent})
    assert kind(response) == (403, "ForeignOrigin")
    assert control.asked == []


def test_changes_from_our_own_page(client: httpx.Client) -> None:
    own = {"Origin": f"http://127.0.0.1:{client.base_url.port}", "Sec-Fetch-Site": "same-origin"}
    headers = {"Authorization": f"Bearer {TOKEN}", **own}
    assert client.post("/v1/rescan", headers=headers).status_code == 200


def test_no_page_elsewhere_may_read_answers(client: httpx.Client) -> None:
    response = client.get("/v1/models", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]


# TCP: addresses.


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:0", "[::]:0", "192.168.1.2:0", "10.0.0.1:8777", "example.org:80", ":8777", "8777", "127.0.0.1",
     "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "[::ffff:10.0.0.1]:0", "*:0"],
)  # fmt: skip
def test_other_addresses_are_refused(listen: str) -> None:
    with pytest.raises(BadOption, match="api-listen"):
        offered(FakeControl(), api_listen=listen).__enter__()


def test_a_daemon_whose_api_cannot_start_mounts_nothing(directory: Path) -> None:
    (directory / "models").mkdir()
    words = ("mount", "--api-listen", "0.0.0.0:8777", directory / "models", directory / "mnt")
    done = prismfs(*words, home=directory)
    assert done.returncode == 2
    assert "no loopback address" in done.stderr
    assert "Traceback" not in done.stderr
    assert not is_mounted(directory / "mnt")


def test_an_address_that_is_taken_is_an_error() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as other, pytest.raises(BadOption, match="in use"):
        offered(FakeControl(), api_listen=f"127.0.0.1:{other.getsockname()[1]}").__enter__()


# Bodies.


@pytest.mark.parametrize("length", [BODY_BYTES + 1, 50 * BODY_BYTES])
def test_a_long_body_is_refused(directory: Path, length: int) -> None:
    control = FakeControl()

    def chunks() -> Iterator[bytes]:
        yield b'{"path": "'
        for _ in range(0, length, 1024):
            yield b"x" * 1024
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    with offered(control, api_socket=str(directory / "s")), on_socket(directory / "s") as client:
        for content in (b"x" * length, chunks()):
            response = client.post("/v1/pin", content=content, headers=headers)
            assert kind(response) == (413, "BodyTooLong")
        assert control.asked == []
        assert client.get("/healthz").status_code == 200


def test_what_is_said_of_a_length_is_not_waited_for(directory: Path) -> None:
    with offered(FakeControl(), api_socket=str(directory / "s")):
        for said, sent in ((10**12, b""), (10**30, b"x")):
            with sockets.socket(sockets.AF_UNIX) as caller:
                caller.settimeout(60)
                caller.connect(str(directory / "s"))
                caller.sendall(
                    b"POST /v1/pin HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % said + sent
                )
                assert caller.recv(100).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


# Names.


@pytest.mark.parametrize(
    "said", ["%2e%2e", "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2fetc", "%252e%252e"]
)
def test_names_go_to_control_as_they_are(directory: Path, said: str) -> None:
    """No other route is reached by a name, however it is written; whether it leads out is for Control."""
    control = FakeControl()
    with offered(control, api_socket=str(directory / "s")), sockets.socket(sockets.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(directory / "s"))
        caller.sendall(f"GET /v1/models/{said}/files HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert caller.recv(100).startswith(b"HTTP/1.1 200")
    names = {"%252e%252e": "%2e%2e", "..%2f..%2fetc": "../../etc"}
    assert control.asked[0][1] in {
        ".." if said.count(".") == 2 else names.get(said, ".."),
        "../../etc/passwd",
    }


# The socket.


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_socket_is_its_owners(directory: Path) -> None:
    path = directory / "deep" / "own" / "s"
    before = os.umask(0)
    try:
        with offered(FakeControl(), api_socket=str(path)):
            assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    finally:
        os.umask(before)
    assert not path.exists()


def test_the_socket_of_a_group(directory: Path) -> None:
    group = grp.getgrgid(os.getgid())
    for name in (group.gr_name, str(group.gr_gid)):
        path = directory / name / "s"
        with offered(FakeControl(), api_socket=str(path), api_group=name):
            assert (mode(path), mode(path.parent), path.stat().st_gid) == (0o660, 0o755, group.gr_gid)
    with pytest.raises(BadOption, match="api-group"):
        offered(FakeControl(), api_socket=str(directory / "s"), api_group="no such group").__enter__()


def left_behind(path: Path) -> None:
    """A socket file that nobody listens on."""
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(path))


def test_a_dead_daemons_socket_is_replaced(directory: Path) -> None:
    left_behind(directory / "s")
    with offered(FakeControl(), api_socket=str(directory / "s")), on_socket(directory / "s") as client:
        assert client.get("/healthz").status_code == 200


def test_a_live_daemons_socket_is_left_alone(directory: Path) -> None:
    path = directory / "s"
    with offered(FakeControl(), api_socket=str(path)), on_socket(path) as client:
        with pytest.raises(BadOption, match="live daemon"):
            offered(FakeControl(), api_socket=str(path)).__enter__()
        assert client.get("/healthz").status_code == 200


def test_the_usual_socket_has_a_second_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = directory / "control.sock", directory / f"control-{os.getpid()}.sock"
    monkeypatch.setattr("fsd.api.sockets.usual_socket", lambda: first)
    left_behind(first)
    with offered(FakeControl(), api_socket="auto") as one:
        assert one.socket == first
        with offered(FakeControl(), api_socket="auto") as other, on_socket(second) as client:
            assert other.socket == second
            assert client.get("/healthz").status_code == 200
        assert first.exists()
    assert not list(directory.iterdir())


def test_the_usual_socket_can_be_done_without(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "file").touch()
    for place in (None, directory / "file" / "control.sock"):
        monkeypatch.setattr("fsd.api.sockets.usual_socket", lambda place=place: place)
        with offered(FakeControl(), api_socket="auto") as offer:
            assert offer.socket is None
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 2


def test_where_the_usual_socket_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert offers.usual_socket() == Path("/run/prismfs/control.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert offers.usual_socket() == Path("/run/user/1000/prismfs/control.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert offers.usual_socket() is None


def test_what_is_no_socket_is_never_removed(directory: Path) -> None:
    (directory / "s").write_text("precious")
    with pytest.raises(BadOption, match="something else"):
        offered(FakeControl(), api_socket=str(directory / "s")).__enter__()
    assert (directory / "s").read_text() == "precious"


def test_a_name_that_is_too_long_for_a_socket(directory: Path) -> None:
    with pytest.raises(BadOption, match="107"):
        offered(FakeControl(), api_socket=str(directory / ("x" * 200))).__enter__()
