"""`model add`: bytes a second, peak memory, and what a kill costs, from a folder and from a hub on loopback.

Files are sparse: what is measured is this program, not a disk. A kill comes at a random moment; lost is what was under
way, and `asked` says how many bytes the hub sent in all, of which one is the whole.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.bench.measuring import temporary_folder
from tests.support.fake_hub import FakeHub, serving

if TYPE_CHECKING:
    from pathlib import Path

NAME = "Qwen/Qwen2.5-Omni-7B"
REVISION = "0" * 40
WATCHED = """
import sys
from runtime.commands.model import main
code = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""
"""What `getrusage` says of a child has its parent's memory in it."""
PARTS, LOCAL, REMOTE, KILLS = 4, 256 << 20, 64 << 20, 12


def main() -> None:
    with temporary_folder() as where:
        _model(where / "model", LOCAL)
        took, peak = _added(where, str(where / "model"), {})
        size = PARTS * LOCAL
        print(
            f"folder: {size / 1e9:.1f} GB in {took:.1f} s, {size / took / 1e9:.2f} GB/s, peak {peak / 1e6:.0f} MB"
        )
        shutil.rmtree(where / "model")
        shutil.rmtree(where / "store")
        _model(where / "small", REMOTE)
        files = {p.name: p.read_bytes() for p in (where / "small").iterdir()}
        with serving(FakeHub(NAME, REVISION, files)) as hub:
            _from_hub(where, hub)


def _from_hub(where: Path, hub: FakeHub) -> None:
    size = PARTS * REMOTE
    took, peak = _added(where, "hf", hub.environment())
    print(f"hub: {size / 1e9:.2f} GB in {took:.1f} s, {size / took / 1e9:.2f} GB/s, peak {peak / 1e6:.0f} MB")
    digest = _digests(where)
    shutil.rmtree(where / "store")
    rng, asked = random.Random(0), len(hub.asked)
    for _ in range(KILLS):
        child = _start(where, "hf", hub.environment())
        time.sleep(rng.uniform(0.2, 1.2 * took))
        child.kill()
        child.wait()
    _added(where, "hf", hub.environment())
    again = [span for path, span, _ in hub.asked[asked:] if path.startswith("/storage/")]
    went_on = sum(bool(span) for span in again)
    same = _digests(where) == digest
    print(
        f"hub, killed {KILLS} times: same digest {same}; {len(again)} requests of parts, {went_on} went on inside one"
    )


def _model(folder: Path, size: int) -> None:
    folder.mkdir()
    names = [f"model-{i:05}-of-{PARTS:05}.safetensors" for i in range(1, PARTS + 1)]
    for name in names:
        header = json.dumps({name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        with (folder / name).open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + size)
    index = {"metadata": {}, "weight_map": {name: name for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")


def _start(where: Path, source: str, env: dict[str, str]) -> subprocess.Popen[str]:
    argv = ["add", f"{NAME}@{REVISION}", "--from", source, "--store", str(where / "store")]
    return subprocess.Popen(
        [sys.executable, "-c", WATCHED, *argv],
        env={**os.environ, **env, "C2F_HOME": str(where / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _added(where: Path, source: str, env: dict[str, str]) -> tuple[float, int]:
    """Seconds, and bytes of memory at most."""
    began = time.monotonic()
    child = _start(where, source, env)
    out, _ = child.communicate()
    assert child.returncode == 0
    return time.monotonic() - began, int(out.splitlines()[-1]) * 1024


def _digests(where: Path) -> list[str]:
    return sorted(p.parent.name for p in (where / "store" / "models").rglob("model.json"))
