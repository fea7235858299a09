"""First picture of a clip as PNG bytes. Decoding needs PyAV, which comes with the runtime; without it there is a hint."""

from __future__ import annotations

import struct
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

WIDEST = 192
"""Pixels; a wider picture loses columns and rows."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MISSING = "no picture: install c2f-spec[runtime]"
UNREADABLE = "no picture: the clip cannot be decoded"


def first_frame(path: Path) -> tuple[bytes | None, str]:
    """PNG bytes, or `None` and why."""
    if find_spec("av") is None:
        return None, MISSING
    import av

    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            pixels: Any = frame.to_ndarray(format="rgb24")
    except (OSError, ValueError, IndexError, StopIteration):  # PyAV's errors are OSError or ValueError
        return None, UNREADABLE
    step = -(-pixels.shape[1] // WIDEST)
    small = pixels[::step, ::step]
    return png(small.shape[1], small.shape[0], small.tobytes()), ""


def png(width: int, height: int, rgb: bytes) -> bytes:
    """An 8-bit RGB image as PNG (https://www.w3.org/TR/png, sections 5 and 9.2), rows filtered by `Up`."""
    if len(rgb) != 3 * width * height:
        raise ValueError(f"{len(rgb)} bytes are not {width} x {height} pixels")
    stride = 3 * width
    above = bytes(stride)
    lines = bytearray()
    for start in range(0, len(rgb), stride):
        row = rgb[start : start + stride]
        lines.append(2)
        lines += bytes((a - b) & 255 for a, b in zip(row, above, strict=True))
        above = row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(lines), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
