"""The command line of `vllm serve`, for whoever starts one: a sidecar of a pod, or a stage on this machine.

Options as https://docs.vllm.ai/en/stable/cli/serve/ has them. Not measured: vLLM does not install where this was written.
"""

from __future__ import annotations

import json

HOST = "127.0.0.1"
"""It listens to its own pod or machine only."""
PARTS = {"video": 1, "audio": 1}
"""Most of a message; room for more would be kept free."""
ALL_FRAMES = {"video": {"num_frames": -1}}
"""What is sent was chosen by `media.fps` and `media.max_frames` already."""


def command(weights: str, name: str, *, port: int, tensor_parallel: int, memory: float) -> list[str]:
    """Serves the folder `weights` under the model's `name`."""
    options = {
        "served-model-name": name,
        "tensor-parallel-size": str(tensor_parallel),
        "gpu-memory-utilization": f"{memory:g}",
        "limit-mm-per-prompt": json.dumps(PARTS),
        "media-io-kwargs": json.dumps(ALL_FRAMES),
        "host": HOST,
        "port": str(port),
    }
    return ["vllm", "serve", weights, *(w for name, value in options.items() for w in (f"--{name}", value))]
