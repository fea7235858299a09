"""Generate answers for GRPO by vLLM: TRL's own handling of it, with the media that TRL leaves out.

TRL 1.16 makes a `VLLMGeneration`, pushes the policy's weights to it when a step has changed them, and generates with
images only. What is used of it, all private and held by a test:

    _init_vllm()                        ours where vLLM runs here: it is started without weights, which come before use
    _fix_param_name_to_vllm(name)       the names that vLLM reads are those of the hub
    sync_weights()                      as it is: adapters merged, parts of ZeRO 3 gathered, one tensor at a time
    vllm_client, _llm_weights_sleeping  of the server, and of sleeping
    extract_logprobs(outputs)           log-probabilities of what was drawn, as vLLM computed them

Where vLLM shares the GPUs it sleeps while the model trains (level 2: weights are dropped, and pushed again).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from trl.generation.vllm_generation import VLLMGeneration, extract_logprobs
from trl.trainer.utils import ensure_master_addr_port

from runtime.generation.vllm_requests import (
    MEDIA_PER_PROMPT,
    assert_processed_logprobs,
    assert_same_prompt,
    build_request,
    generate_on_server,
    sampled_logprobs,
    sampling_parameters,
)
from runtime.models.layout import hub_name, write_released_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.spec.handoff import VllmPlace
    from runtime.generation.vllm_requests import Sampling
    from runtime.media.features import DecodedClip
    from runtime.process.context import Context

BATCHED_TOKENS = 4096
"""Tokens of one pass of vLLM; more mislead its profile of memory (as in TRL)."""


SampledAnswers = tuple[list[list[int]], list[list[float | None]]]
"""Tokens of the answers, and the log-probability of each; `None` where vLLM returns none."""


class PolicyOnVllm(VLLMGeneration):  # type: ignore[misc]  # trl has no type hints
    """vLLM with the current weights of the policy."""

    def __init__(
        self,
        *,
        model: Any,
        accelerator: Any,
        processor: Any,
        place: VllmPlace,
        sampling: Sampling,
        longest: int,
        rows: int,
        folder: Path,
    ) -> None:
        """`longest` is the limit of prompt and answer in tokens; `rows` run at once; `folder` is written to."""
        self._sampling = sampling
        self._folder = write_released_config(
            model.config, processor, folder / f"vllm-{accelerator.process_index}"
        )
        super().__init__(
            model=model,
            accelerator=accelerator,
            processing_class=processor,
            mode=place.mode,
            server_base_url=place.url,
            tensor_parallel_size=place.tensor_parallel,
            gpu_memory_utilization=place.memory,
            max_model_length=longest,
            max_num_seqs=rows * place.tensor_parallel,
            enable_sleep_mode=True,
        )

    def _init_vllm(self) -> None:
        if self.mode == "server":
            super()._init_vllm()
            if self.accelerator.is_main_process:
                assert_processed_logprobs(self.vllm_client)
            return
        from vllm import LLM  # type: ignore[import-not-found]

        ranks, ways = self.accelerator.num_processes, self.tensor_parallel_size
        assert ranks % ways == 0, "the plan refuses GPUs that cannot be shared evenly"
        if ways > 1:
            groups = [list(range(first, first + ways)) for first in range(0, ranks, ways)]
            self.tp_group, _ = torch.distributed.new_subgroups_by_enumeration(groups)  # type: ignore[no-untyped-call]
        # vLLM reads them where each rank was started by another program.
        os.environ |= {
            "RANK": str(self.accelerator.process_index),
            "LOCAL_RANK": str(self.accelerator.local_process_index),
            "WORLD_SIZE": str(ranks),
        }
        ensure_master_addr_port()
        self.llm = LLM(
            model=str(self._folder),
            load_format="dummy",
            dtype=str(self.model.dtype).removeprefix("torch."),
            tensor_parallel_size=ways,
            gpu_memory_utilization=self.gpu_memory_utilization,
            max_model_len=self.max_model_length,
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=BATCHED_TOKENS,
            limit_mm_per_prompt=MEDIA_PER_PROMPT,
            enable_sleep_mode=True,
            distributed_executor_backend="external_launcher",
            logprobs_mode="processed_logprobs",  # of the distribution that is drawn from
            seed=self.accelerator.process_index // ways,  # alike where ranks share a model
        )
        self.llm.sleep(level=2)
        self._llm_weights_sleeping = True
        self.accelerator.wait_for_everyone()

    def _fix_param_name_to_vllm(self, name: str, extra_prefixes: list[str] | None = None) -> str:
        return hub_name(super()._fix_param_name_to_vllm(name, extra_prefixes))

    def answer(self, prompts: Sequence[Sequence[int]], media: Sequence[DecodedClip]) -> SampledAnswers:
        """Return one answer to each prompt of this rank, which may end in a hint; called by all ranks alike."""
        if self.mode == "server":
            return self._generate_on_server(prompts, media)
        if self._llm_weights_sleeping:
            self.sync_weights()
        requests = [
            (list(p), build_request(p, s, self.processing_class)) for p, s in zip(prompts, media, strict=True)
        ]
        everyone = self._gather_requests(requests)
        from vllm import SamplingParams

        self.llm.wake_up(tags=["kv_cache"])
        outputs = self.llm.generate(
            [each for _, each in everyone],
            sampling_params=SamplingParams(
                **self._parameters(), logprobs=0
            ),  # of what was drawn and no other
            use_tqdm=False,
        )
        self.llm.sleep(level=2)
        self._llm_weights_sleeping = True
        first = self._first_index(len(requests))
        own = outputs[first : first + len(requests)]
        for (prompt, _), output in zip(requests, own, strict=True):
            assert_same_prompt(prompt, output.prompt_token_ids)
        return [list(output.outputs[0].token_ids) for output in own], sampled_logprobs(
            extract_logprobs(own)[0]
        )

    def _parameters(self) -> dict[str, Any]:
        return sampling_parameters(self._sampling, self.processing_class.tokenizer)

    def _gather_requests(self, requests: list[Any]) -> list[Any]:
        """Return the requests of all ranks that share a model, in their order: each generates all of them."""
        if self.tensor_parallel_size == 1:
            return requests
        gathered: list[Any] = [None] * self.tensor_parallel_size
        torch.distributed.all_gather_object(gathered, requests, group=self.tp_group)
        return [each for part in gathered for each in part]

    def _first_index(self, count: int) -> int:
        """Return the index of this rank's first answer among those of its group; ranks may have different numbers."""
        if self.tensor_parallel_size == 1:
            return 0
        counts: list[Any] = [None] * self.tensor_parallel_size
        torch.distributed.all_gather_object(counts, count, group=self.tp_group)
        first: int = sum(counts[: torch.distributed.get_rank(group=self.tp_group)])
        return first

    def _generate_on_server(
        self, prompts: Sequence[Sequence[int]], media: Sequence[DecodedClip]
    ) -> SampledAnswers:
        """Generate on the server: rank 0 sends the requests of all ranks."""
        counts = gather_object([len(prompts)])
        everyone = gather_object(list(zip(map(list, prompts), media, strict=True)))
        result: list[Any] = [None]
        if self.accelerator.is_main_process:
            result = [
                generate_on_server(self.vllm_client, everyone, self.processing_class, self._parameters())
            ]
        broadcast_object_list(result, from_process=0)
        first = sum(counts[: self.accelerator.process_index])
        answers, logprobs = result[0]
        return answers[first : first + len(prompts)], logprobs[first : first + len(prompts)]


def engine_factory(
    ctx: Context, sampling: Sampling, processor: Any, *, longest: int, rows: int
) -> Callable[[Any], PolicyOnVllm] | None:
    """Return a constructor of the engine for a trainer, `None` without vLLM in the placement."""
    place = ctx.stage.placement.vllm
    if place is None:
        return None
    return lambda trainer: PolicyOnVllm(
        model=trainer.model,
        accelerator=trainer.accelerator,
        processor=processor,
        place=place,
        sampling=sampling,
        longest=longest,
        rows=rows,
        folder=Path(ctx.stage.scratch),
    )
