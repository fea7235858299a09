"""Codes 360 to 370: training that cannot learn, or does not fit its GPUs (METHOD 8.1, 8.4)."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

OMNI = "student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n"

ENTRIES: dict[str, Entry] = {
    "C2F360": Entry(
        "a learning rate of LoRA for all weights",
        "The paper's 1e-5 points to LoRA: recipes that train every weight with GRPO use 1e-6 (METHOD 8.1). At ten times "
        "that a model can forget its format within a few steps. A warning, because the paper does not say its tuner.",
        OMNI + "grpo: {tuner: full, learning_rate: 1e-5}\n",
        OMNI + "grpo: {tuner: lora, learning_rate: 1e-5}\n",
    ),
    "C2F361": Entry(
        "a group of equal answers",
        "An advantage is how much better an answer is than the others of its group (METHOD 1.6). Greedy sampling writes "
        "the same answer each time; equal rewards have no advantage, and nothing is learned.",
        "grpo: {temperature: 0}\n",
        "grpo: {temperature: 1}\n",
    ),
    "C2F362": Entry(
        "examples longer than the student takes",
        "`sft.max_tokens` bounds prompt and answer together, and the student has fewer positions than that. A longer "
        "example is an error and never cut, because a cut prompt loses frames or sound.",
        "format: direct\nsft: {max_tokens: 5000}\n",
        "format: direct\nsft: {max_tokens: 2048}\n",
    ),
    "C2F363": Entry(
        "prompt and answer longer than the student takes",
        "The longest prompt and the longest answer must fit into the student's positions together (METHOD 8.4); METHOD "
        "8.2 uses 2048 and 512 tokens. Otherwise generation breaks off, or fails, in the middle of a run.",
        "grpo: {max_prompt_tokens: 4000, max_new_tokens: 512}\n",
        "grpo: {max_prompt_tokens: 2048, max_new_tokens: 512}\n",
    ),
    "C2F364": Entry(
        "evaluated answers longer than the student takes",
        "The answer shares the student's positions with a prompt that holds frames and sound, so it cannot have all of "
        "them. METHOD 8.2 evaluates with 512 new tokens.",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], decoding: {max_new_tokens: 9999}}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], decoding: {max_new_tokens: 512}}\n",
    ),
    "C2F365": Entry(
        "a batch that GPUs cannot share",
        "A batch is global, so that the same spec means the same on any number of GPUs. Each GPU takes an equal part of "
        "it; in GRPO the rows are answers, `batch` times `generations` (METHOD 8.4).",
        "grpo: {batch: 5, generations: 4}\nresources: {grpo: {gpus: 8}}\n",
        "grpo: {batch: 6, generations: 4}\nresources: {grpo: {gpus: 8}}\n",
    ),
    "C2F366": Entry(
        "resources for nothing",
        "`resources` speaks of a stage that no section of the spec asks for. Nothing is accepted and ignored: either a "
        "section is missing, or this is left over from one.",
        "grpo: {}\nresources: {sft: {gpus: 4}}\n",
        "grpo: {}\nresources: {grpo: {gpus: 4}}\n",
    ),
    "C2F367": Entry(
        "attention heads that GPUs cannot share",
        "`tensor_parallel` divides the heads of each layer over GPUs. Qwen2.5-Omni-7B has 28 query heads and 4 "
        "key-value heads, so 1, 2 and 4 are possible (METHOD 8.4); vLLM would refuse the rest once the GPUs are taken.",
        OMNI + "grpo: {tuner: lora, engine: {kind: vllm, tensor_parallel: 8}}\n",
        OMNI + "grpo: {tuner: lora, engine: {kind: vllm, tensor_parallel: 4}}\n",
    ),
    "C2F368": Entry(
        "no checkpoint before the end",
        "Training is saved every so many steps so that it can go on after an interruption. This section ends before the "
        "first of them, and an interruption would lose all of it.",
        "format: direct\nsft: {steps: 10}\ncheckpoints: {every: 20}\n",
        "format: direct\nsft: {steps: 100}\ncheckpoints: {every: 20}\n",
    ),
    "C2F369": Entry(
        "a guard of nothing",
        "`guard` ends `grpo` when its KL or its format rate says that it went wrong. Without `grpo`, or for a format rate "
        "that no reward measures, it would be accepted and ignored.",
        "format: direct\nsft: {steps: 10}\nguard: {max_kl: 2}\n",
        "grpo: {}\nguard: {max_kl: 2}\n",
    ),
    "C2F370": Entry(
        "a scale that the aggregate does not use",
        "Where each reward is normalised by itself it is divided by its deviation in the group, and the sums by theirs in "
        "the batch, as TRL does it. `scale` chooses a deviation only where rewards are added first (METHOD 1.6).",
        "grpo: {aggregate: normalise_then_sum, scale: none}\n",
        "grpo: {aggregate: normalise_then_sum}\n",
    ),
    "C2F376": Entry(
        "a tower that is not frozen, and adapters elsewhere",
        "`lora` trains adapters on the linear layers of the text model. A tower that is left out of `frozen` would be "
        "neither frozen by choice nor trained, so the field would be accepted and ignored.",
        OMNI.replace("}", ", frozen: [audio]}") + "format: direct\nsft: {tuner: lora}\n",
        OMNI.replace("}", ", frozen: [audio]}") + "format: direct\nsft: {tuner: full}\n",
    ),
    "C2F377": Entry(
        "a server without an address, or an address without a server",
        "vLLM generates on the GPUs of the stage (`colocate`), or in a server that somebody started and that is told the "
        "new weights after every step (`server`, with its `url`).",
        OMNI + "grpo: {tuner: lora, engine: {kind: vllm, mode: server}}\n",
        OMNI + "grpo: {tuner: lora, engine: {kind: vllm, mode: server, url: 'http://vllm:8000'}}\n",
    ),
}
