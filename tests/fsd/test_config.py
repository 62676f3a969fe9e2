"""Options: parsing, precedence, and one declaration of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd.config import OPTIONS, Options, resolve
from fsd.errors import BadOption


def test_every_field_is_an_option_with_flag_variable_and_help() -> None:
    assert {option.name for option in OPTIONS} == set(Options.__dataclass_fields__) - {"given", "mounts"}
    for option in OPTIONS:
        assert option.flag == "--" + option.name.replace("_", "-")
        assert option.variable == "PRISMFS_" + option.name.upper()
        assert option.help


def test_defaults_can_be_parsed() -> None:
    options = resolve({}, {})
    assert options.cache_memory == 128 << 20
    assert options.workers >= 1
    assert options.allow_other is False
    assert "q4_k_m" in options.types
    assert options.plan_cache.is_absolute()


def test_flag_before_variable_before_default() -> None:
    variables = {"PRISMFS_WORKERS": "3", "PRISMFS_CACHE_MEMORY": "1G", "PRISMFS_LOG_LEVEL": ""}
    options = resolve({"workers": "5", "cache_memory": None, "allow_other": True, "verb": "mount"}, variables)
    assert options.workers == 5
    assert options.cache_memory == 1 << 30
    assert options.allow_other is True
    assert options.log_level == "info"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cache_memory", "4096", 4096),
        ("cache_memory", "1.5G", 3 << 29),
        ("cache_memory", "64KiB", 65536),
        ("cache_memory", "2 MB", 2 << 20),
        ("cache_size", "20G", 20 << 30),
        ("cache_size", "Auto", None),
        ("cache_min_free", "1", 1),
        ("no_cache", "yes", True),
        ("planner_time", "90", 90.0),
        ("planner_time", "2m", 120.0),
        ("planner_time", "0.5s", 0.5),
        ("types", "Q4_K_M, q8_0,,q8_0", ("q4_k_m", "q8_0")),
        ("types", "", ()),
        ("allow_other", "Yes", True),
        ("log_level", "DEBUG", "debug"),
        ("fuse", " Kernel", "kernel"),
        ("plan_cache", "/var/cache/x", Path("/var/cache/x")),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    assert getattr(resolve({name: text}, {}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cache_memory", "much"), ("cache_memory", "0"), ("cache_memory", "-1M"), ("cache_memory", "nan"),
        ("cache_memory", "infM"), ("cache_size", "all"), ("workers", "0"), ("workers", "two"),
        ("planner_time", "0"), ("planner_time", ""), ("types", "../x"),
        ("allow_other", "perhaps"), ("log_level", "loud"),
    ],
)  # fmt: skip
def test_nonsense_is_told_with_its_origin(name: str, text: str) -> None:
    with pytest.raises(BadOption, match=f"--{name.replace('_', '-')} cannot be"):
        resolve({name: text}, {})
    if text:
        with pytest.raises(BadOption, match=f"PRISMFS_{name.upper()} cannot be"):
            resolve({}, {f"PRISMFS_{name.upper()}": text})


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert resolve({}, {}).plan_cache == Path("/somewhere/prismfs/plans")
    assert resolve({}, {}).cache_dir == Path("/somewhere/prismfs/store")
