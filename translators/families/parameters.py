"""A family's hyper-parameters, step by step: which key-values it has, from which keys, in which order.

    parameters=(COMMON, Key("expert_feed_forward_length", "moe_intermediate_size", optional=True), _windows)

A step is a function of `Parameters`; `Key` is the declarative one, `COMMON` all that upstream's text models
have in common. A name without `general.` or `tokenizer.` gets the architecture in front.
Knows nothing of tensors, but for what a step reads of its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from translators.families.hparams import BLOCK_COUNT, rope_parameters, write_hparams
from translators.families.pooling import is_qwen3_reranker, write_qwen3_reranker, write_qwen_pooling
from translators.families.transforms import Place
from translators.keyvalues import KeyValues, ValueType
from translators.metadata.checked import Checked

if TYPE_CHECKING:
    from translators.families.checkpoint import Checkpoint

Kind = Literal["u32", "i32", "f32", "count", "bool", "string"]
_WHOLE = ("general.", "tokenizer.", "clip.")
_FILE = "config.json"


@dataclass(frozen=True)
class Parameters:
    """What a step writes with: the key-values, and where they come from.

    blocks: the number of layers where the family does not take the configuration's. alone: the key-values
    are written before all tensors and metadata.
    """

    kv: KeyValues
    source: Checkpoint
    blocks: int | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The completed configuration."""
        return self.source.config

    @property
    def checked(self) -> Checked:
        """Sets keys by their whole names; a value that a key cannot hold is told with its place."""
        return Checked(self.kv, _FILE)

    @property
    def rope(self) -> dict[str, Any]:
        """The rotary parameters in one form (`hparams.rope_parameters`)."""
        return rope_parameters(self.config)

    @property
    def layers(self) -> int:
        """How many layers are written."""
        return self.source.count(*BLOCK_COUNT) if self.blocks is None else self.blocks

    def key(self, name: str) -> str:
        """A key's whole name."""
        return name if name.startswith(_WHOLE) else f"{self.source.arch}.{name}"

    def value(self, *keys: str, default: Any = None) -> Any:
        """The value of the first of `keys` that the configuration has, which may be null."""
        return next((self.config[key] for key in keys if key in self.config), default)

    def required(self, *keys: str) -> Any:
        """The same, which must be there and not null. Raises MalformedSource."""
        value = self.value(*keys)
        if value is None:
            raise self.checked.refusal("it is not told", keys[0])
        return value

    def integer(self, *keys: str) -> int:
        """A whole number from 0. Raises MalformedSource."""
        value = self.required(*keys)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
            raise self.checked.refusal(f"{value!r:.40} is no count", keys[0])
        return value

    def number(self, *keys: str) -> float:
        """A finite number. Raises MalformedSource."""
        return self.checked.finite(self.required(*keys), keys[0])

    def place(self) -> Place:
        """The place of no tensor in particular."""
        return self.source.place()

    def u32(self, name: str, value: object, place: str = "") -> None:
        """Set an unsigned integer. place: the key that it comes from."""
        self.checked.u32(self.key(name), value, place or name)

    def i32(self, name: str, value: object, place: str = "") -> None:
        """Set a signed integer."""
        self.checked.i32(self.key(name), value, place or name)

    def f32(self, name: str, value: object, place: str = "") -> None:
        """Set a float."""
        self.checked.f32(self.key(name), value, place or name)

    def count(self, name: str, value: object, place: str = "") -> None:
        """Set an unsigned integer, or an array with one for each layer."""
        self.checked.count(self.key(name), value, place or name)

    def bool(self, name: str, value: object, place: str = "") -> None:
        """Set a truth value: of anything that Python has one for, as upstream."""
        self.kv.bool(self.key(name), bool(value))

    def string(self, name: str, value: object, place: str = "") -> None:
        """Set a string."""
        self.checked.string(self.key(name), value, place or name)

    def array(self, name: str, kind: ValueType, values: list[Any], place: str = "") -> None:
        """Set an array, also an empty one as upstream leaves it out: nothing is set."""
        if not isinstance(values, list):
            raise self.checked.refusal("no list", place or name)
        if values:
            try:
                self.kv.array(self.key(name), kind, values)
            except Exception as error:
                raise self.checked.refusal("the list holds what the key cannot", place or name) from error


Step = Callable[[Parameters], None]


@dataclass(frozen=True, slots=True)
class Key:
    """A key-value from a key of the configuration.

    name:     of the key-value, without the architecture.
    keys:     of the configuration; the first that is there counts, also if it is null.
    optional: nothing is written where it is absent or null; otherwise it is refused.
    default:  what holds where it is absent (not where it is null).
    """

    name: str
    keys: str | tuple[str, ...]
    kind: Kind = "u32"
    optional: bool = False
    default: Any = field(default=None)

    def __call__(self, write: Parameters) -> None:
        """Write it. Raises MalformedSource."""
        keys = (self.keys,) if isinstance(self.keys, str) else self.keys
        value = write.value(*keys, default=self.default)
        if value is None:
            if self.optional:
                return
            value = write.required(*keys)
        place = next((key for key in keys if key in write.config), keys[0])
        setter: Callable[[str, object, str], None] = getattr(write, self.kind)
        setter(self.name, value, place)


def COMMON(write: Parameters) -> None:  # noqa: N802
    """All that upstream's text models have in common, and the file's type."""
    write_hparams(write.kv, write.source.arch, write.config, write.source.file_type.number, write.blocks)


def FILE_TYPE(write: Parameters) -> None:  # noqa: N802
    """The file's type, in families that do without `COMMON`."""
    write.kv.u32("general.file_type", write.source.file_type.number)


def BLOCKS(write: Parameters) -> None:  # noqa: N802
    """The number of layers, in families that do without `COMMON`."""
    write.u32("block_count", write.layers, "num_hidden_layers")


def POOLING(write: Parameters) -> None:  # noqa: N802
    """How an embedding model pools, as its modules.json tells."""
    write_qwen_pooling(write.kv, write.source.model.root, write.config, write.source.arch)


def RANKING(write: Parameters) -> None:  # noqa: N802
    """How a reranker of Qwen3's pools, if this is one."""
    source = write.source
    if is_qwen3_reranker(source.model.root, source.model.name, source.config):
        write_qwen3_reranker(write.kv, source.arch)
