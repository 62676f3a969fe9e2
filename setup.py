"""What pyproject.toml cannot say of the build: two shared libraries in C, and how their exactness is kept.

The kernels: one source, three builds (translators/quants/kernels/lanes.h), one library; a vocabulary's lists:
another. Python reaches both through ctypes: they are tied to no version of Python. They are optional: without
a compiler libggml quantises, and the tokenizers library goes through all of a vocabulary.
No fast-math and no contraction, anywhere: a fused multiply-add rounds once where the reference rounds twice.
PRISMFS_KERNEL_FLAGS adds compiler and linker flags (sanitizers).
"""

from __future__ import annotations

import os
import platform
import shlex
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

LISTS = "translators/vocab/lists.c"
KERNELS = Path("translators/quants/kernels")
DISPATCH = str(KERNELS / "dispatch.c")
SOURCES = sorted(str(path) for path in KERNELS.glob("*.c") if str(path) != DISPATCH)
HEADERS = sorted(str(path) for path in KERNELS.glob("*.h"))
EXTRA = shlex.split(os.environ.get("PRISMFS_KERNEL_FLAGS", ""))
EXACT = ["-ffp-contract=off", "-fno-fast-math", "-fno-math-errno"]
FLAGS = ["-std=c11", "-O3", "-g0", "-fvisibility=hidden", *EXACT]
# What a build may use beyond the platform's baseline. FMA is not among it, on purpose.
BUILDS = {
    "portable": [],
    "avx2": ["-mavx2", "-mf16c"],
    "avx512": ["-mavx2", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"],
}


class BuildLibraries(build_ext):
    """Compiles the kernels for each instruction set, the dispatch that knows these, and the rest once."""

    def build_extension(self, extension: Extension) -> None:
        """Leave out the sets that this compiler or platform does not have."""
        if extension.sources == [LISTS]:
            self._link(extension, self._compiled([LISTS], [], [], "vocab"))
            return
        x86 = platform.machine() in ("x86_64", "AMD64") and "aarch64" not in os.environ.get("CC", "")
        macros, objects = [], []
        for build, flags in BUILDS.items():
            if build != "portable" and not x86:
                continue
            try:
                objects += self._compiled(SOURCES, [("BUILD", build)], flags, build)
            except CompileError:
                if build == "portable":
                    raise
                continue
            macros.append((f"WITH_{build.upper()}", "1"))
        objects += self._compiled([DISPATCH], macros, [], "dispatch")
        self._link(extension, objects)

    def _link(self, extension: Extension, objects: list[str]) -> None:
        target = self.get_ext_fullpath(extension.name)
        self.compiler.link_shared_object(objects, target, libraries=["m"], extra_postargs=EXTRA)

    def _compiled(
        self, sources: list[str], macros: list[tuple[str, str]], flags: list[str], place: str
    ) -> list[str]:
        made = self.compiler.compile(
            sources,
            output_dir=str(Path(self.build_temp) / place),
            macros=macros,  # type: ignore[arg-type]
            extra_postargs=[*FLAGS, *flags, *EXTRA],
            depends=HEADERS,
        )
        return list(made)


setup(
    ext_modules=[
        Extension(
            "translators.quants.kernels._kernels",
            [DISPATCH, *SOURCES],
            depends=HEADERS,
            optional=True,
            py_limited_api=True,
        ),
        Extension("translators.vocab._lists", [LISTS], optional=True, py_limited_api=True),
    ],
    cmdclass={"build_ext": BuildLibraries},
    # No version of Python is in the library: one wheel serves all from the oldest on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
