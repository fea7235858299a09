"""What it costs to read a clip: decoded first, from memory, from disk; and decoded ahead of need by another process.

Two kinds of clips: those that the demo draws, for the tiny student; and 4 s of 1280 x 720 at 25 frames a second, H.264 and
AAC, at METHOD 8.2's limits, with the feature extractor of Qwen2.5-Omni. "As the processor does it" is one call of the whole
processor on decoded media, as its documentation shows. Seconds of the wall clock, medians; rows are compared, bit for bit.
"""

from __future__ import annotations

import copy
import json
import time
from functools import partial
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from transformers import WhisperFeatureExtractor

from c2f_spec.spec.sections import C2f, Media, Tiny
from c2f_spec.store.digest import digest_file
from runtime.media import decode
from runtime.media.decoded_cache import DecodedCache
from runtime.media.speaker import render
from runtime.models import MODELS, rows
from runtime.models.rows import Reader
from runtime.text.clips import Clip, write_manifest
from tests.bench.measuring import seconds_of, temporary_folder

ENCODED, CLIPS = 2, 48
"""Videos that are encoded, and clips: copies of them that differ by a padding at their end."""
GB = 10**9


def main() -> None:
    torch.set_num_threads(1)
    tiny = MODELS["tiny"].base(Tiny(kind="tiny"), 0, None).processor
    large = copy.deepcopy(tiny)
    large.feature_extractor = WhisperFeatureExtractor(
        feature_size=128, chunk_length=300, return_attention_mask=True
    )
    with temporary_folder() as folder:
        drawn, filmed = folder / "drawn", folder / "filmed"
        _prepared(drawn, lambda path, i: render(path, 0.1 * i, seed=1, clip=str(i)), 2.0)
        _prepared(filmed, _film, 4.0)
        _compare("drawn, tiny student", drawn, tiny, Media(fps=2.0, max_frames=4, max_pixels=3136), folder)
        for decoder in ("decord", "av"):
            _compare(f"1280 x 720, {decoder}", filmed, large, Media(decoder=decoder), folder)
        _ahead(filmed, large, folder)


def _compare(what: str, folder: Path, processor, media: Media, scratch: Path) -> None:
    plain = Reader(folder, processor, C2f(), media)
    ids = plain.ids("train")[:16]
    whole = [seconds_of(partial(_whole, plain, folder, i, processor, media)) for i in ids]
    kept = DecodedCache(scratch / what.replace(" ", "-"), GB)
    first = Reader(folder, processor, C2f(), media, cache=kept)
    again = Reader(folder, processor, C2f(), media, cache=kept)
    passes = {
        "as the processor does it": whole,
        "first, and kept": [seconds_of(partial(first.row, i)) for i in ids],
        "from disk": [seconds_of(partial(again.row, i)) for i in ids],
        "from memory": [seconds_of(partial(again.row, i)) for i in ids],
    }
    for i in ids:
        a, b = plain.row(i), again.row(i)
        assert a.prompt == b.prompt
        assert all(torch.equal(a.media[n], b.media[n]) for n in a.media)
    size = sum(path.stat().st_size for path in kept.root.glob("*/*")) / len(ids)
    times = ", ".join(f"{name} {1000 * median(each):.2f} ms" for name, each in passes.items())
    print(f"{what}: {times}; {size / 1e6:.2f} MB a clip on disk")


def _whole(reader: Reader, folder: Path, clip_id: str, processor, media: Media) -> None:
    clip = reader.clips[clip_id]
    frames, sound = decode.frames(folder / clip.media, media), decode.audio(folder / clip.media)
    content = [{"type": "video"}, {"type": "audio"}, {"type": "text", "text": reader.prompt(clip)}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    options = {"do_resize": False, "do_sample_frames": False, "fps": len(frames) / clip.duration_s}
    processor(text=[text], videos=[frames], audio=[sound], videos_kwargs=options, return_tensors="pt")


def _ahead(folder: Path, processor, scratch: Path) -> None:
    """Steps that wait, as for a GPU, as long as decoding takes; the last half of the clips, when a worker is there."""
    medians = {}
    for name, workers in (("here", 0), ("ahead, by one other process", 1)):
        cache = DecodedCache(scratch / f"ahead-{workers}", GB)
        reader = Reader(folder, processor, C2f(), Media(), cache=cache)
        rows.MIN_DECODING_SECONDS, rows.prefetch_workers = 0.0, lambda workers=workers: workers
        ids = reader.ids("train")
        reader.prefetch(ids)
        waits = []
        for clip_id in ids:
            waits.append(seconds_of(partial(reader.row, clip_id)))
            time.sleep(medians.get("here", 0.15))
        reader.close()
        medians[name] = median(waits[CLIPS // 2 :])
    waits = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in medians.items())
    print(f"a step waits for a clip: {waits}")


def _prepared(folder: Path, make, seconds: float) -> None:
    (folder / "clips").mkdir(parents=True)
    clips = []
    for i in range(CLIPS):
        path = folder / "clips" / f"{i}.mp4"
        if i < ENCODED:
            make(path, i)
        else:
            path.write_bytes((folder / "clips" / f"{i % ENCODED}.mp4").read_bytes() + b"\0\0\0\x08free" * i)
        text, digest = f"it is what it is, and clip {i} says so", digest_file(path).blake3
        clips.append(Clip(str(i), "bench", "train", text, 0.0, "neutral", f"clips/{i}.mp4", seconds, digest))
    write_manifest(folder, clips)
    facts = {"name": "bench", "language": "en", "low": -3, "high": 3, "family": "mosi"}
    (folder / "dataset.json").write_text(json.dumps({**facts, "splits": {"train": CLIPS}}))


def _film(path: Path, seed: int) -> None:
    """Patches of colour that wander, with grain; a tone."""
    draw = np.random.default_rng(seed)
    still = draw.integers(8, 248, (9, 16, 3)).repeat(80, 0).repeat(80, 1) + draw.normal(0, 3, (720, 1280, 1))
    still = np.clip(still, 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for n in range(100):
            picture = np.roll(still, 6 * n, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(64_000) / 16_000).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16_000, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
