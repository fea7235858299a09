"""The seed of one sample: a hash of the stage's key, the clip, the sample and how often it was asked for before.

So an answer hangs neither on the order of the clips, nor on who asks, nor on what was interrupted (DESIGN: "The store").
"""

from __future__ import annotations

import hashlib


def seed_of(key: str, clip: str, sample: int, tried: int = 0) -> int:
    """31 bits: what every sampler takes."""
    drawn = hashlib.sha256(f"{key}\0{clip}\0{sample}\0{tried}".encode()).digest()
    return int.from_bytes(drawn[:4], "big") >> 1
