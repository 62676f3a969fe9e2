"""What the reference shows as answers: the reports of a small daemon, as they look. Typed."""

from __future__ import annotations

from fsd.control.reports import (
    CachedFile,
    CacheReport,
    Cost,
    FileReport,
    JobReport,
    ModelFiles,
    ModelReport,
    MountReport,
    OptionReport,
    RefusalReport,
    RescanReport,
    StatusReport,
)

_STARTED = 1790000000.0
_MOUNT = "/mnt/models"
_SIZE = 105_454_144
_PATH = f"{_MOUNT}/SmolLM2/model.gguf-q4_k_m"

MOUNT = MountReport(_MOUNT, "/srv/models", "kernel", serving=True, models=2)
MODEL = ModelReport(
    name="SmolLM2",
    mountpoint=_MOUNT,
    source="/srv/models/SmolLM2",
    state="ready",
    files=12,
    cached=_SIZE,
)
FILE = FileReport(
    name="model.gguf-q4_k_m",
    path=_PATH,
    kind="virtual",
    describe="GGUF, Q4_K_M",
    size=_SIZE,
    cached=_SIZE,
    listed=True,
    translated=True,
    pinned=False,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    sources=("config.json", "model.safetensors", "tokenizer.json"),
    equals="llama-quantize Q4_K_M of convert_hf_to_gguf's BF16 file",
    cost=Cost(cpu_seconds=0.0, source_bytes=0, cache_bytes=0),
)
FILES = ModelFiles(
    MODEL,
    (FILE,),
    (RefusalReport("model.gguf-iq2_xs", "this type needs an importance matrix", "add an imatrix.gguf"),),
)
CACHE = CacheReport(
    directory="/var/cache/prismfs/store",
    bytes=_SIZE,
    limit=20 << 30,
    files=(CachedFile("9c1f0c5e", "SmolLM2/model.gguf-q4_k_m", _SIZE, pinned=False, complete=True),),
    figures={"evictions": 0, "hits": 4160},
)
RESCAN = RescanReport(appeared=("Qwen3-0.6B",), changed=(), vanished=())
OPTION = OptionReport("cache_size", "20G", "--cache-size")
STATUS = StatusReport(
    version="0.1.0",
    pid=4242,
    started=_STARTED,
    uptime=3600.0,
    ready=True,
    kernels="ggml",
    mounts=(MOUNT,),
    engine={"reads": 5120, "translated_bytes": _SIZE},
    store={"bytes": _SIZE},
    jobs_running=1,
)
QUEUED = JobReport(id="1", kind="warm", state="queued", paths=(_PATH,), created=_STARTED, total=_SIZE)
JOB = JobReport(
    id="1",
    kind="warm",
    state="running",
    paths=(_PATH,),
    created=_STARTED,
    done=52_428_800,
    total=_SIZE,
    rate=104_857_600.0,
    eta=0.5,
    current=_PATH,
    started=_STARTED + 1,
    version=7,
)
CANCELLED = JobReport(
    id="1",
    kind="warm",
    state="cancelled",
    paths=(_PATH,),
    created=_STARTED,
    done=52_428_800,
    total=_SIZE,
    started=_STARTED + 1,
    ended=_STARTED + 2,
    version=8,
)
METRICS = "# TYPE prismfs_store_bytes gauge\nprismfs_store_bytes 105454144\n"
