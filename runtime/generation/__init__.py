"""vLLM in place of the model's own generation: several times faster, and never run here (no GPU at hand: not measured).

    requests.py    a prompt and its media as vLLM takes them, and what it must say back
    policy.py      GRPO: on the GPUs that train, or a server elsewhere; weights pushed after every update
    evaluating.py  evaluation: a checkpoint from its folder

What is relied upon, of vLLM and of TRL 1.16, is said at each place and held by a fake of vLLM in the tests. Imported before
transformers and trl, so what those need is put in place here.
"""

from runtime.models import compat as compat
