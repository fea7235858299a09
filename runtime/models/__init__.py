"""The kinds of students. One small file a kind, one line here."""

from runtime.models import compat as compat
from runtime.models import positions as positions
from runtime.models.qwen_omni import QWEN_OMNI
from runtime.models.student import Kind
from runtime.models.tiny import TINY

MODELS: dict[str, Kind] = {
    "tiny": TINY,
    "qwen_omni": QWEN_OMNI,
}
