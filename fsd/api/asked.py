"""What a request may say: bodies and parameters, each with its bounds. What they mean is for `Control`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_TEXT = r"^[^\x00]*$"
_EXAMPLE = "/mnt/models/SmolLM2/model.gguf-q4_k_m"

AnyPath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        pattern=_TEXT,
        description="An absolute path under a mount of this daemon, or one that begins with a model's name",
        examples=[_EXAMPLE],
    ),
]
Mountpoint = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        pattern=_TEXT,
        description="A mount point of this daemon, where it has several",
        examples=["/mnt/models"],
    ),
]
ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        pattern=_TEXT,
        description="A model's path in its mount; its slashes may stand as they are",
        examples=["SmolLM2"],
    ),
]
JobId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="A job's id, as its report has it",
        examples=["1"],
    ),
]


class _Asked(BaseModel):
    """A body: it has these fields and no others, as JSON types them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PathRequest(_Asked):
    """What is to be pinned, unpinned or evicted: a file, or a directory for all translated files in it."""

    path: AnyPath


class ClearRequest(_Asked):
    """What is to be dropped from the store: with `pinned`, what is pinned as well."""

    pinned: bool = False


class WarmRequest(_Asked):
    """Have files translated and kept: directories stand for all their listed translated files."""

    kind: Literal["warm"]
    paths: list[AnyPath] = Field(min_length=1, max_length=1000)


class VerifyRequest(_Asked):
    """Compute files again and compare: with what is kept and, where known, with upstream's digest.

    `sample` is the share of each file that is looked at; 1 is all of it.
    """

    kind: Literal["verify"]
    paths: list[AnyPath] = Field(min_length=1, max_length=1000)
    sample: float = Field(default=1.0, gt=0, le=1)


class ExportRequest(_Asked):
    """Write a file to `to`, a path in the directory of the option --export-dir.

    With `replace`, a file that is there already is written anew.
    """

    kind: Literal["export"]
    paths: list[AnyPath] = Field(min_length=1, max_length=1)
    to: AnyPath = Field(description="Where to: a path in the directory of --export-dir", examples=["SmolLM2"])
    replace: bool = False


JobRequest = Annotated[WarmRequest | VerifyRequest | ExportRequest, Field(discriminator="kind")]
