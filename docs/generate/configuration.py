"""docs/CONFIGURATION.md: every option of `fsd.config`, the file, and who wins."""

from __future__ import annotations

from docs.generate.markdown import block, code, page, table
from fsd.config import OPTIONS, Option

_ORDER = """
An option is set by its flag, its environment variable, or its key in a configuration file; the first of
these that is there wins, and the default is the last. `prismfs config show` lists every option with its
value and what set it. A variable that is empty counts as not set; a `PRISMFS_` variable or a key that
nobody knows is an error. A switch that is on in a file is turned off by its variable:
`PRISMFS_ALLOW_OTHER=no`.
"""
_FILE = """
The file is TOML, named by `--config FILE` or the variable `PRISMFS_CONFIG`; none is read otherwise. A key
is an option's name. What TOML writes as a number, as `true` or as a list is taken where it means the same.
A path is relative to the file's directory, and `~` is the home directory. Each `[[mount]]` is a mount, and
options stand above the first one. `prismfs mount --config FILE` serves all of them in one daemon, with one
cache; if SOURCE and MOUNTPOINT are given too, these are mounted instead, with the file's options. No mount
point may lie within another mount's source or mount point.
"""
_EXAMPLE = """
cache_size = "50G"
workers = 8
types = ["q8_0", "q4_k_m"]

[[mount]]
source = "/srv/models"
mountpoint = "/mnt/models"

[imatrix]
"/srv/models/Qwen2.5-7B-Instruct" = "/srv/matrices/Qwen2.5-7B.gguf"

[base]
"unsloth/Qwen2.5-7B-Instruct-bnb-4bit" = "/srv/models/Qwen2.5-7B-Instruct"
"""
_IMATRIX = """
`[imatrix]` names the importance matrices of models, each by the path of the model's directory or weight file
(in a hub cache also by that of its `models--...` folder); what lies beside that model is then not looked at.
Without it, a model has the matrix that lies beside it. A matrix is read when a form is planned, and belongs
to the form's version like the model's own files: one that was replaced makes another form, which new opens
get.

`[base]` names the models that adapters are for, each by the path of the adapter's directory (absolute, or
beginning with `./`), or by the name that adapters have for their base model. Without it they are looked for
by that name: [ADAPTERS.md](ADAPTERS.md).
"""
_CHECK = """
`prismfs config check FILE` says what is wrong with a file, with the line and the key (exit code 2), and
warns of what is missing on this machine: a source, an empty mount point.
[examples/prismfs.toml](../examples/prismfs.toml) is a file to begin with.
"""
_VALUES = """
Sizes are bytes, or have a unit that is a power of 1024: `64K`, `1.5G`, `50GiB`. Times are seconds, or have
one of the units `s`, `m` and `h`: `30s`. A switch is `yes` or `no` (in a file `true` or `false`); as a flag
it stands alone.
"""
_FSTAB = """
`mount.prismfs` is what mount(8) runs. It looks for such programs in `/sbin` only, so after an installation
elsewhere a link is needed: `ln -s "$(command -v mount.prismfs)" /sbin/mount.prismfs`. Then a line of
`/etc/fstab` is
"""
_FSTAB_LINE = '/srv/models  /mnt/models  prismfs  cache_size=50G,types="q8_0,q4_k_m",_netdev,nofail  0  0'
_FSTAB_REST = """
An option of prismfs stands by its name, `config=FILE` names a file, and what is meant for the kernel, for
systemd or for mount itself (`ro`, `noauto`, `nofail`, `x-systemd...`) is passed over. A second link,
`/sbin/mount.fuse.prismfs`, makes the type `fuse.prismfs` work too, which is what `findmnt` and
`/proc/mounts` call such a mount.
"""


def text() -> str:
    """The page."""
    rows = [
        (
            code(option.flag),
            code(option.variable),
            code(option.name),
            code(option.default_shown),
            _about(option),
        )
        for option in OPTIONS
    ]
    return page(
        "Configuration",
        _ORDER,
        "## Options",
        table(("flag", "variable", "key", "default", "what it is"), rows),
        _VALUES,
        "## The file",
        _FILE,
        block(_EXAMPLE),
        _IMATRIX,
        _CHECK,
        "## /etc/fstab",
        _FSTAB,
        block(_FSTAB_LINE),
        _FSTAB_REST,
    )


def _about(option: Option) -> str:
    return f"{option.help}: {', '.join(map(code, option.words))}" if option.words else option.help
