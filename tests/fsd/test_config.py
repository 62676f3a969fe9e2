"""Options: parsing, precedence, and one declaration of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsd.config import OPTIONS, Options, resolve
from fsd.errors import BadOption, exit_code_of
from tests.fsd.mounting import ROOT


def test_every_field_is_an_option_with_flag_variable_and_help() -> None:
    assert {option.name for option in OPTIONS} == set(Options.__dataclass_fields__) - {
        "given",
        "mounts",
        "imatrices",
        "bases",
    }
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
        ("split_size", "2G", 2_000_000_000),
        ("split_size", "50m", 50_000_000),
        ("split_size", "None", None),
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


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "prismfs.toml"
    path.write_text(text)
    return str(path)


def test_a_file_stands_between_variable_and_default(tmp_path: Path) -> None:
    config = written(tmp_path, 'workers = 2\ncache_size = "50G"\npoll = 5\nsettle = "3s"\n')
    options = resolve({"config": config, "workers": "5"}, {"PRISMFS_POLL": "7s"})
    assert (options.workers, options.poll, options.settle) == (5, 7.0, 3.0)
    assert (options.cache_size, options.cache_min_free) == (50 << 30, 1 << 30)
    origins = {name: given.origin for name, given in options.given.items()}
    assert origins["workers"] == "--workers"
    assert origins["poll"] == "PRISMFS_POLL"
    assert origins["settle"] == config
    assert origins["cache_min_free"] == "default"
    assert list(options.given) == [option.name for option in OPTIONS]
    assert options.given["cache_size"].text == "50G"
    assert options == resolve({}, {"PRISMFS_CONFIG": config, "PRISMFS_POLL": "7s", "PRISMFS_WORKERS": "5"})


def test_the_flag_names_the_file_before_the_variable(tmp_path: Path) -> None:
    config = written(tmp_path, "workers = 2")
    assert resolve({"config": config}, {"PRISMFS_CONFIG": "/nowhere"}).workers == 2


def test_what_toml_writes_otherwise_means_the_same(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        'cache_memory = 4096\nplanner_time = 1.5\nallow_other = true\nno_cache = "no"\nworkers = "3"\n'
        'types = ["Q8_0", "q4_k_m"]\nfuse = "kernel"\n',
    )
    options = resolve({"config": config}, {})
    assert (options.cache_memory, options.planner_time, options.workers) == (4096, 1.5, 3)
    assert (options.allow_other, options.no_cache) == (True, False)
    assert (options.types, options.fuse) == (("q8_0", "q4_k_m"), "kernel")
    assert options.given["allow_other"].text == "yes"


def test_paths_of_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir("/")
    config = written(
        tmp_path,
        'cache_dir = "store"\nplan_cache = "~/plans"\nexport_dir = ""\n'
        '[[mount]]\nsource = "models"\nmountpoint = "/mnt/a"\n'
        '[[mount]]\nsource = "~/models"\nmountpoint = "../b"\n',
    )
    options = resolve({"config": config}, {})
    assert options.cache_dir == tmp_path / "store"
    assert options.given["cache_dir"].text == str(tmp_path / "store")
    assert options.plan_cache == Path("/home/someone/plans")
    assert options.export_dir is None
    assert [mount.source for mount in options.mounts] == [tmp_path / "models", Path("/home/someone/models")]
    assert options.mounts[0].mountpoint == Path("/mnt/a")
    assert options.mounts[1].mountpoint == tmp_path / ".." / "b"


def test_importance_matrices_of_a_file(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        'workers = 1\n[imatrix]\n"models/One" = "one.dat"\n"/hub/models--org--name" = "/m/two.gguf"\n'
        f'[[mount]]\nsource = "{tmp_path}/models"\nmountpoint = "/mnt/a"\n',
    )
    options = resolve({"config": config}, {})
    assert options.imatrix_of(f"{tmp_path}/models/One") == f"{tmp_path}/one.dat"
    assert options.imatrix_of("/hub/models--org--name/snapshots/abc123") == "/m/two.gguf"
    assert options.imatrix_of("/hub/models--org--name/other/abc123") is None
    assert options.imatrix_of(f"{tmp_path}/models/Two") is None


def test_base_models_are_named_by_adapter_or_by_name(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[base]\n"./lora" = "models/One"\n"org/Two" = "/m/two"\n"/srv/lora" = "three"\n'
    )
    assert resolve({"config": str(tmp_path / "c.toml")}, {}).bases == {
        f"{tmp_path}/lora": f"{tmp_path}/models/One", "org/Two": "/m/two", "/srv/lora": f"{tmp_path}/three",
    }  # fmt: skip


MOUNT = '[[mount]]\nsource = "/a"\n'


@pytest.mark.parametrize(
    ("text", "says", "place", "remedy"),
    [
        ("workers = 0", "workers cannot be '0': it must be one or more", "line 1, workers", "workers = "),
        ("\n\nfuse = 'x'", "fuse cannot be 'x': it must be one of", "line 3, fuse", 'fuse = "auto"'),
        ("cache_size = 'much'", "it must be a size as 50G", "line 1, cache_size", 'cache_size = "auto"'),
        ("cache_size = true", "cache_size cannot be a truth value", "line 1", "cache_size"),
        ("allow_other = 1", "allow_other cannot be a number", "line 1", "allow_other = true"),
        ("cache_dir = 5", "cache_dir cannot be a number", "line 1", "cache_dir"),
        ("cache_dir = ''", "it must be a path", "line 1", "cache_dir"),
        ("workers = [1]", "workers cannot be a list", "line 1", "workers"),
        ("types = [1]", "types cannot be a list", "line 1", "types"),
        ("poll = 2026-01-01", "poll cannot be a date or time", "line 1", 'poll = "2s"'),
        ("[poll]\nx = 1", "poll cannot be a table", "line 1, poll", 'poll = "2s"'),
        ("# x\ncache-size = '1G'", "'cache-size' is no option", "line 2, cache-size", "cache_size?"),
        ("wrokers = 1", "'wrokers' is no option", "line 1, wrokers", "did you mean workers?"),
        ("zzz = 1", "'zzz' is no option", "line 1, zzz", "config show"),
        ("[[mounts]]\n", "'mounts' is no option", "line 1, mounts", "did you mean mount?"),
        ("workers = \npoll = 1", "this is not TOML", "", "line 1"),
        ("workers = 1\nworkers = 2", "this is not TOML", "", ""),
        ("mount = 1", "mounts are tables", "line 1, mount", "[[mount]]"),
        ("[mount]\nsource = '/a'", "mounts are tables", "line 1, mount", "[[mount]]"),
        ("imatrix = 'x.gguf'", "are a table", "line 1, imatrix", "[imatrix]"),
        ("[imatrix]\n'/a' = 1", "the matrix of '/a' must be a path", "line 2, /a", "[imatrix]"),
        ("base = 'x'", "are a table", "line 1, base", "[base]"),
        ("[base]\n'org/a' = 1", "the base model of 'org/a' must be a path", "line 2, org/a", "[base]"),
        ("[imatrix]\n'/a' = ''", "the matrix of '/a' must be a path", "line 2, /a", "[imatrix]"),
        (MOUNT, "mountpoint must be a path", "mount 1", "source ="),
        (MOUNT + "mountpoint = 1", "mountpoint must be a path", "mount 1", ""),
        (MOUNT + "mountpoint = '/b'\nworkers = 1", "'workers' is no key of a mount", "mount 1", "above"),
        ("x = " + "[" * 10_000, "this is not TOML", "", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    tmp_path: Path, text: str, says: str, place: str, remedy: str
) -> None:
    config = written(tmp_path, text)
    with pytest.raises(BadOption) as caught:
        resolve({"config": config}, {})
    error = caught.value
    assert error.path == config
    assert says in error.reason
    assert place in error.place
    assert remedy in f"{error.remedy} {error.reason}"
    assert exit_code_of(error) == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="No such file"):
        resolve({"config": str(tmp_path / "none.toml")}, {})
    with pytest.raises(BadOption, match="Is a directory"):
        resolve({}, {"PRISMFS_CONFIG": str(tmp_path)})
    (tmp_path / "latin").write_bytes(b"api_group = '\xe4'")
    with pytest.raises(BadOption, match="not UTF-8"):
        resolve({"config": str(tmp_path / "latin")}, {})


def test_a_variable_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(BadOption, match="PRISMFS_WORKER is no variable") as caught:
        resolve({}, {"PRISMFS_WORKER": "3"})
    assert caught.value.remedy == "did you mean PRISMFS_WORKERS?"
    with pytest.raises(BadOption) as caught:
        resolve({}, {"PRISMFS_XYZZY": "3"})
    assert caught.value.remedy == "unset PRISMFS_XYZZY"
    assert resolve({}, {"PRISMFS_XYZZY": "", "PRISMFS_TEST_CACHE": "/x", "PRISM": "1"}) == resolve({}, {})


def test_every_variable_that_this_repository_reads_is_known() -> None:
    """A variable of a test or a script must not keep the command line from running beside it."""
    found: set[str] = set()
    for pattern in ("fsd/**/*.py", "tests/**/*.py", "tests/**/*.sh", "benchmarks/**/*", ".ci/*", "Makefile"):
        for path in ROOT.glob(pattern):
            if path.is_file() and path != Path(__file__) and "__pycache__" not in path.parts:
                read = re.findall(r"(?:environ\S*|\$\{)\W*(PRISMFS_[A-Z_]+)", path.read_text())
                found.update(read)
    assert len(found) >= 3
    for name in found - {option.variable for option in OPTIONS} - {"PRISMFS_CONFIG"}:
        resolve({}, {name: "x"})


def test_defaults_that_depend_on_the_machine_are_described() -> None:
    for option in OPTIONS:
        assert callable(option.default) == bool(option.shown), option.name
    assert {option.name for option in OPTIONS if option.shown} == {"cache_dir", "plan_cache", "workers"}
