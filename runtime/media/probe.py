"""What a clip's file holds, without decoding all of it: duration, streams, and whether a picture comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Probe:
    """`problem` is empty for a file that can be used: one with pictures and sound, of some length."""

    duration_s: float
    has_audio: bool
    problem: str = ""


def probe(path: Path) -> Probe:
    """Reads every packet and decodes the first picture and the first sound. Never raises for what a file holds."""
    import av

    try:
        with av.open(str(path)) as container:
            sound = bool(container.streams.audio)
            if not container.streams.video:
                return Probe(0.0, sound, "it has no pictures")
            end = 0.0
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            container.seek(0)
            next(container.decode(video=0))
            if sound:
                container.seek(0)
                next(container.decode(audio=0))
    except StopIteration:
        return Probe(0.0, has_audio=False, problem="nothing in it can be decoded")
    except (av.FFmpegError, OSError, ValueError) as error:
        return Probe(
            0.0,
            has_audio=False,
            problem=f"it cannot be decoded: {str(error).strip() or type(error).__name__}",
        )
    if end <= 0:
        return Probe(0.0, sound, "it has no duration")
    return Probe(round(end, 3), sound, "" if sound else "it has no sound")
