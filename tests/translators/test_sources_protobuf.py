"""The fields of protocol buffers: every wire type, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from translators.errors import MalformedSource
from translators.sources import protobuf
from translators.sources.protobuf import BYTES, FIXED32, FIXED64, VARINT, Held, Message
from translators.sources.stored_file import StoredFile


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    path = tmp_path / "model.pb"
    path.write_bytes(b"\x08\x01")
    with StoredFile(path) as opened:
        yield opened


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def tagged(number: int, data: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def test_each_wire_type(file: StoredFile) -> None:
    data = b"\x08\x96\x01" + b"\x11" + b"\x01" * 8 + tagged(3, b"ab") + b"\x25\x02\0\0\0"
    fields = list(Message(Held(data, file)))
    assert [(field.number, field.wire, field.value) for field in fields] == [
        (1, VARINT, 150), (2, FIXED64, 0), (3, BYTES, 0), (4, FIXED32, 0),
    ]  # fmt: skip
    assert [data[field.start : field.end] for field in fields] == [
        b"", b"\x01" * 8, b"ab", b"\x02\0\0\0",
    ]  # fmt: skip


def test_signs_strings_and_messages(file: StoredFile) -> None:
    minus = varint((1 << 64) - 5)
    data = b"\x08" + minus + tagged(2, tagged(1, "é".encode())) + tagged(3, b"\x01" + minus) + b"\x18\x07"
    message = Message(Held(data, file))
    first, second, third, fourth = message
    assert message.number(first) == -5
    inner = message.inside(second)
    assert [inner.text(field) for field in inner] == ["é"]
    assert [*message.numbers(third), *message.numbers(fourth)] == [1, -5, 7]


def test_long_payloads_are_passed_over(tmp_path: Path) -> None:
    """What lies behind a payload longer than what is read at once."""
    path = tmp_path / "model.pb"
    path.write_bytes(tagged(1, b"x" * 200_000) + b"\x10\x03" + tagged(4, b"y" * 70_000))
    with StoredFile(path) as file:
        message = Message(file)
        fields = list(message)
        assert [(field.number, field.value, field.length) for field in fields] == [
            (1, 0, 200_000), (2, 3, 0), (4, 0, 70_000),
        ]  # fmt: skip
        assert message.data(fields[2], 1 << 20) == b"y" * 70_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x0a\x05abc", "5 bytes announced, 3 are left"),
        (b"\x09\x01", "8 bytes announced, 1 are left"),
        (b"\x0d\x01", "4 bytes announced, 1 are left"),
        (b"\x00\x01", "which there is not"),
        (b"\x0b\x0c", "which there is not"),
        (tagged(1, b"")[:-1] + varint(1 << 62), "are left"),
    ],
)
def test_what_is_no_message(file: StoredFile, data: bytes, reason: str) -> None:
    with pytest.raises(MalformedSource, match=reason) as told:
        list(Message(Held(data, file, "node 'a'")))
    assert "model.pb" in str(told.value)
    assert "node 'a', byte " in str(told.value)


def test_another_type_than_asked_for(file: StoredFile) -> None:
    message = Message(Held(b"\x08\x01" + tagged(2, b"a"), file))
    first, second = message
    for call in (message.inside, message.text, message.data):
        with pytest.raises(MalformedSource, match="of kind 0"):
            call(first)
    with pytest.raises(MalformedSource, match="of kind 2, not 0"):
        message.number(second)


def test_budgets(file: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b""
    for _ in range(100):
        data = tagged(1, data)

    def down(message: Message) -> None:
        for field in message:
            down(message.inside(field))

    with pytest.raises(MalformedSource, match="64 messages in each other"):
        down(Message(Held(data, file)))
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 100)
    with pytest.raises(MalformedSource, match="more than 100 fields"):
        list(Message(Held(b"\x08\x01" * 101, file)))
    monkeypatch.setattr(protobuf, "MOST_TEXTS", 15)
    message = Message(Held(tagged(1, b"0123456789"), file))
    field = next(iter(message))
    with pytest.raises(MalformedSource, match="10 bytes of kind 2 are no name"):
        message.data(field, 9)
    message = Message(Held(tagged(1, b"0123456789"), file))
    assert message.data(field) == b"0123456789"
    with pytest.raises(MalformedSource, match="are no name"):
        message.data(field)
    message = Message(Held(tagged(1, b"\xff"), file))
    with pytest.raises(MalformedSource, match="no UTF-8"):
        message.text(next(iter(message)))
