"""Where released weights come from: one small module a hub, over one way to download a file. Run by hand, by no stage."""

from runtime.hub import hf, modelscope
from runtime.hub.download import Hub

HUBS: dict[str, Hub] = {"hf": hf.HUB, "modelscope": modelscope.HUB}
