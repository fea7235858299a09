"""What a clip's file holds, without decoding all of it: duration, streams, and whether picture and sound come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer


@dataclass(frozen=True, slots=True)
class Probe:
    """`problem` is empty for a file that can be used: one with pictures or sound, of some length."""

    duration_s: float
    lacks: tuple[str, ...] = ()
    """Of "video" and "audio"; the prompt tells the model so."""
    problem: str = ""


TOLD = ("mp4", "matroska")
"""Formats whose head tells how long the file is; of others the length is guessed from their size."""
WHOLE = 0.9
"""Of that length; less of it is there when a copy broke off. Heads are off by some."""


def probe(path: Path) -> Probe:
    """Reads every packet and decodes the first picture and the first sound. Never raises for what a file holds."""
    import av

    try:
        with av.open(str(path)) as container:
            known = any(name in container.format.name for name in TOLD)
            told, end = (container.duration or 0) / av.time_base if known else 0.0, 0.0
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            lacks = tuple(kind for kind in ("video", "audio") if not _comes_out(container, kind))
    except (av.FFmpegError, OSError, ValueError) as error:
        return Probe(0.0, problem=f"it cannot be decoded: {str(error).strip() or type(error).__name__}")
    if end < WHOLE * told:
        return Probe(0.0, lacks, f"it breaks off after {end:.1f} of {told:.1f} s")
    if len(lacks) == 2:
        return Probe(0.0, lacks, "nothing in it can be decoded")
    if end <= 0:
        return Probe(0.0, lacks, "it has no duration")
    return Probe(round(end, 3), lacks)


def _comes_out(container: InputContainer, kind: str) -> bool:
    """Whether the file has moving pictures, or sound. A cover, as files of music have, is neither."""
    from av.stream import Disposition

    streams = [s for s in container.streams.get() if s.type == kind]
    if not streams or Disposition.attached_pic in streams[0].disposition:
        return False
    container.seek(0)
    return next(container.decode(streams[0]), None) is not None
