"""Generation of answers: by the model itself, and by vLLM, which is faster by a multiple (not measured here: no GPU).

vllm_requests       a prompt and its media as vLLM takes them, in this process or on a server, and the checks of its answer
vllm_rollout        GRPO: on the GPUs of training, or a server; weights are pushed after every update
evaluation_engines  the engine of an evaluation: the model itself, or vLLM with a checkpoint from its folder

Each module names what it needs of vLLM and of TRL 1.16; tests hold it with a fake vLLM. `runtime.models.patches` comes
first, because it must run before transformers and trl are imported.
"""

from runtime.models import patches as patches
