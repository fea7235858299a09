"""The kinds of students, by `student.kind` of the spec. One small file a kind, one line here."""

from runtime.models import patches as patches
from runtime.models.qwen_omni import QWEN_OMNI
from runtime.models.thinker import Kind
from runtime.models.tiny import TINY

MODELS: dict[str, Kind] = {
    "tiny": TINY,
    "qwen_omni": QWEN_OMNI,
}
