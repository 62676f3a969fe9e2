"""Pickles walked, never loaded: what a pickle would build, as inert data.

    value = walked(PickledBytes(data), persistent=...)

A machine with the pickle's stack and memo and nothing else: a class or function is its name (`Named`), a
call of one is a record of that call (`Made`), except for the few in `built` that are known to make data.
Nothing is imported, nothing is called. Opcodes are told apart by the standard library (`pickletools`).
Budgets bound opcodes, bytes, one text, and what a call copies; a pickle that exceeds one, or makes no
sense, is `MalformedSource`. What was built may hold itself: whoever walks it needs bounds of his own.
Knows nothing of tensors, nor of where a pickle lies.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

from translators.errors import MalformedSource, Unsupported

# torch.save of a state dict takes about 40 opcodes and 200 bytes a tensor; an optimiser's state some more.
MOST_OPCODES = 5_000_000
MOST_BYTES = 128 << 20
# One opcode's argument. Of texts and numbers longer than a name can be, only that they are there is kept.
_MOST_ARGUMENT = 16 << 20
_LONGEST = 1 << 16
_REMEDY = "fetch the file again, or save the model as safetensors"


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function, by name."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What calling `maker` would have made: arguments, then what was set on it."""

    maker: object
    arguments: object
    state: object = None
    items: dict[Any, Any] | None = None
    values: list[Any] | None = None


class PickledBytes(io.RawIOBase):
    """A stream of pickles, of which at most `limit` bytes are handed out, and never more than there are."""

    def __init__(
        self, read: Callable[[int, int], bytes], start: int, end: int, limit: int = MOST_BYTES
    ) -> None:
        """`read(offset, length)` gives the bytes of the file, of which those from `start` to `end` count."""
        super().__init__()
        self._read = read
        self._at = start
        self._end = min(end, start + limit)
        self._buffer = b""
        self._buffered = start

    def tell(self) -> int:
        """Where the next byte lies in the file."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes; fewer at the end. Raises ValueError for more than one opcode needs."""
        if size is not None and size > _MOST_ARGUMENT:
            raise ValueError(f"an argument of {size:,} bytes")
        wanted = self._end - self._at if size is None or size < 0 else min(size, self._end - self._at)
        data = self._peeked(wanted)[:wanted]
        self._at += len(data)
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """Up to the end of a line, which no pickle of data has longer than 64 KiB."""
        data = self._peeked(min(1 << 16, self._end - self._at))
        end = data.find(b"\n") + 1
        if not end:
            raise ValueError("a line without an end")
        self._at += end
        return data[:end]

    def _peeked(self, wanted: int) -> bytes:
        start = self._at - self._buffered
        if len(self._buffer) - start < wanted:
            length = min(max(wanted, 1 << 20), self._end - self._at)
            self._buffer, self._buffered, start = self._read(self._at, length), self._at, 0
        return self._buffer[start : start + wanted]


_MARK = object()


def _pairs(items: Any) -> dict[Any, Any]:
    """A dictionary of (key, value), as Python 2 pickled ordered ones."""
    return dict(items) if isinstance(items, dict) else {hashable(key): value for key, value in items}


# What a call of these makes is data.
_BUILT: dict[Named, Callable[[tuple[Any, ...]], Any]] = {
    Named("collections", "OrderedDict"): lambda arguments: _pairs(arguments[0]) if arguments else {},
    Named("collections", "defaultdict"): lambda arguments: {},
    Named("builtins", "dict"): lambda arguments: {},
    Named("builtins", "set"): lambda arguments: Made(Named("builtins", "set"), arguments),
    Named("torch", "Size"): lambda arguments: tuple(arguments[0]) if arguments else (),
}


class _Machine:
    """One pickle's stack and memo."""

    def __init__(
        self,
        persistent: Callable[[Any], Any],
        built: Mapping[Named, Callable[[tuple[Any, ...]], Any]],
    ) -> None:
        self._persistent = persistent
        self._built = {**_BUILT, **built}
        self._spent = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """What one opcode does."""
        if name in _PUSHED:
            self.stack.append(_bounded(argument))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        else:
            action = _ACTIONS.get(name)
            if action is None:
                raise Unsupported(f"a pickle with the opcode {name}", remedy=_REMEDY)
            action(self, argument)

    def popped(self) -> list[Any]:
        """Everything above the last mark, which goes."""
        mark = len(self.stack) - 1
        while self.stack[mark] is not _MARK:
            mark -= 1
            if mark < 0:
                raise ValueError("no mark")
        values = self.stack[mark + 1 :]
        del self.stack[mark:]
        return values

    def tuples(self, count: int) -> None:
        """A tuple of the last `count` values."""
        values = tuple(self.stack[-count:])
        if len(values) != count:
            raise ValueError("an empty stack")
        self.stack[-count:] = [values]

    def spend(self, count: int) -> None:
        """Note that much work. Raises MalformedSource where it becomes too much."""
        self._spent += count
        if self._spent > MOST_OPCODES:
            raise MalformedSource(f"a pickle of more than {MOST_OPCODES:,} opcodes", remedy=_REMEDY)

    def remember(self, key: int) -> None:
        """Note the last value under `key`."""
        if not 0 <= key < 1 << 32:
            raise ValueError("a memo without bounds")
        self.memo[key] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Values for the list or set on the stack."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Made):
            target.values = target.values or []
            target.values.extend(values)
        else:
            raise ValueError("no list")

    def set_items(self, values: list[Any]) -> None:
        """Keys and values, in turn, for the dictionary on the stack."""
        target = self.stack[-1]
        if isinstance(target, Made):
            target.items = target.items or {}
        items = target.items if isinstance(target, Made) else target
        if not isinstance(items, dict) or len(values) % 2:
            raise ValueError("no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            items[hashable(key)] = value

    def named(self, module: Any, name: Any) -> None:
        """A class or function."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is no text")
        self.stack.append(Named(module, name))

    def call(self, arguments: Any) -> None:
        """What the function on the stack would make of these."""
        maker = self.stack.pop()
        if isinstance(arguments, tuple):
            # A memo gives the same long list to many calls, and each may copy it.
            self.spend(sum(len(each) for each in arguments[:8] if isinstance(each, list | tuple | dict)))
        build = self._built.get(maker) if isinstance(maker, Named) else None
        known = build is not None and isinstance(arguments, tuple)
        self.stack.append(build(arguments) if build and known else Made(maker, arguments))

    def build(self, state: Any) -> None:
        """Set the state of the object on the stack."""
        target = self.stack[-1]
        if isinstance(target, Made):
            target.state = state

    def persist(self, key: Any) -> None:
        """What a persistent id stands for."""
        self.stack.append(self._persistent(key))

    def drop(self) -> None:
        """Take the last value off."""
        self.stack.pop()


def hashable(key: Any) -> Any:
    """A key that costs little to hash and compare: others are only told apart."""
    if isinstance(key, int):
        return key if abs(key) < 1 << 60 else id(key)
    if isinstance(key, str | float | bytes | Named) or key is None:
        return key
    flat = isinstance(key, tuple) and len(key) <= 8 and not any(isinstance(part, tuple) for part in key)
    return key if flat and all(hashable(part) is part for part in key) else id(key)


def _bounded(argument: Any) -> Any:
    """A text or number as it is, unless nobody has use for one so long."""
    if isinstance(argument, int):
        return argument if argument.bit_length() < 1 << 12 else 0
    return argument if isinstance(argument, float) or len(argument) <= _LONGEST else type(argument)()


_PUSHED = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "SHORT_BINSTRING", "BINSTRING", "STRING",
})  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Made(Named("builtins", "set"), ()),
    "MARK": lambda: _MARK,
}


def _nothing(machine: _Machine, argument: Any) -> None:
    """For opcodes that only frame."""


def _reduce(machine: _Machine, argument: Any) -> None:
    machine.call(machine.stack.pop())


def _reduce_with_keywords(machine: _Machine, argument: Any) -> None:
    keywords = machine.stack.pop()
    arguments = machine.stack.pop()
    machine.stack[-1:] = [Made(machine.stack[-1], (arguments, keywords))]


def _stack_global(machine: _Machine, argument: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.named(module, name)


def _append(machine: _Machine, argument: Any) -> None:
    value = machine.stack.pop()
    machine.extend([value])


def _set_item(machine: _Machine, argument: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _pop_mark(machine: _Machine, argument: Any) -> None:
    machine.popped()


def _dictionary(machine: _Machine, argument: Any) -> None:
    values = machine.popped()
    machine.stack.append({})
    machine.set_items(values)


_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "TUPLE1": lambda machine, _: machine.tuples(1),
    "TUPLE2": lambda machine, _: machine.tuples(2),
    "TUPLE3": lambda machine, _: machine.tuples(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.popped())),
    "LIST": lambda machine, _: machine.stack.append(machine.popped()),
    "DICT": _dictionary,
    "APPEND": _append,
    "APPENDS": lambda machine, _: machine.extend(machine.popped()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.popped()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.popped()),
    "PUT": lambda machine, key: machine.remember(int(key)),
    "BINPUT": lambda machine, key: machine.remember(key),
    "LONG_BINPUT": lambda machine, key: machine.remember(key),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GET": lambda machine, key: machine.stack.append(machine.memo[int(key)]),
    "BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "LONG_BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "GLOBAL": lambda machine, names: machine.named(*names.split(" ", 1)),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _reduce_with_keywords,
    "BUILD": lambda machine, _: machine.build(machine.stack.pop()),
    "BINPERSID": lambda machine, _: machine.persist(machine.stack.pop()),
    "POP": lambda machine, _: machine.drop(),
    "POP_MARK": _pop_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
}


# What a step does with what makes no sense.
_NONSENSE = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip


def walked(
    pickle: PickledBytes,
    persistent: Callable[[Any], Any] = lambda key: key,
    built: Mapping[Named, Callable[[tuple[Any, ...]], Any]] | None = None,
) -> Any:
    """What the next pickle of a stream would build.

    `persistent` says what a persistent id stands for, `built` what calls make that are known to be harmless.
    Raises MalformedSource, Unsupported.
    """
    machine = _Machine(persistent, built or {})
    try:
        for opcode, argument, _ in pickletools.genops(cast(IO[bytes], pickle)):
            machine.spend(1)
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except _NONSENSE as error:
        raise MalformedSource(f"no usable pickle: {str(error)[:200]}", remedy=_REMEDY) from error
    raise MalformedSource("a pickle without an end", remedy=_REMEDY)
