"""A step's answers on two ranks are those of one, whatever groups are hard and wherever they lie (METHOD 6.3).

Two threads stand for two ranks: collective operations are the only edge between processes, and here they wait for each
other at a barrier. Answers come from a table, so no model runs. `python -m tests.bench ranks` trains on real processes.
"""

from __future__ import annotations

import copy
import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from c2f_spec.spec.grpo import Grpo
from runtime.rewards import REWARDS
from runtime.stages.grpo import clip_truth
from runtime.text.chains import canonical_answer, parse_answer
from runtime.training.hints.history import History
from tests.support import omni
from tests.support.hinted import make, policy

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

IDS = [f"toy-{i:02}" for i in range(5)]
"""Four answers each, ten a rank: the group in the middle lies on both."""
SIZE = 4
APART = {"polarity_reward_on_hinted": "exclude", "normalise": "joint"}
POLICIES = [
    {},
    {"group": {"kind": "replace_k", "k": 3}, "if_still_bad": "keep_unhinted", **APART},
    {"group": {"kind": "append", "k": 2}, "if_still_bad": "skip", "max_hinted_fraction": 0.5, **APART},
    {"hard_policy": "drop"},
    {"trigger": {"kind": "always"}, "max_hinted_fraction": 0.5},
]
HERE = threading.local()


class Ranks:
    """What passes between ranks."""

    def __init__(self, world):
        self.world, self.calls = world, [0] * world
        self._barrier, self._slots = threading.Barrier(world, timeout=20), [None] * world

    def gather(self, value):
        rank = HERE.rank
        self.calls[rank] += 1
        self._slots[rank] = value
        self._barrier.wait()
        found = list(self._slots)
        self._barrier.wait()
        if isinstance(value, torch.Tensor):
            assert len({part.shape for part in found}) == 1, "ranks bring tables of different sizes"
            return torch.cat(found)
        return [each for part in found for each in part]


def of_rank(trainer, rank, ranks, before):
    """The trainer of one rank: the parts of it that a step's answers change are its own."""
    own = copy.copy(trainer)
    own.history, own._metrics, own.sampled = before(), {"train": defaultdict(list)}, []
    own.on_rollouts = lambda *_: None
    own.accelerator = SimpleNamespace(
        process_index=rank,
        num_processes=ranks.world,
        device=torch.device("cpu"),
        gather=ranks.gather,
        is_main_process=rank == 0,
    )
    return own


def table(own, hard):
    """In place of the engine: an answer by clip, by its number in the group, and by whether it follows a hint."""

    def generate(prompts, images, media, generations):
        del images, generations
        hinted = [len(ids) > len(row.prompt) for ids, row in zip(prompts, media.rows, strict=True)]
        first = own.accelerator.process_index * hinted.count(False)  # rows with a hint come last
        answers = [
            own._tokenizer.encode(
                text(own, row.id, (first + i) % SIZE, after, hard), add_special_tokens=False
            )
            for i, (row, after) in enumerate(zip(media.rows, hinted, strict=True))
        ]
        own.accelerator.gather(torch.zeros(1))  # as engines do that share the weights
        return answers, None

    own._generate_single_turn = generate


def text(own, clip_id, number, hinted, hard):
    clip = own.reader.clips[clip_id]
    right = canonical_answer(omni.FMT, clip.polarity, "1. words", clip.label)
    if hinted:
        return right.partition("\n\n")[2] if clip_id in hard[1] else "1."
    return f"wrong {number}" if clip_id in hard[0] else right + " " * number


def all_hinted():
    """After a step in which every group was hinted: in the next all are drawn ahead."""
    history, every = History(), [True] * len(IDS)
    none = [0] * len(IDS)
    history.record_visit(0, IDS, hard=every, hinted=every, right=none, answers=SIZE, rates=[None] * len(IDS))
    return history


def step(trainer, hint, hard, world, before):
    """What the ranks use, what they log, and how often they met."""
    ranks = Ranks(world)
    clips = [clip for clip in IDS for _ in range(SIZE)]
    share = len(clips) // world

    def work(rank):
        HERE.rank, HERE.ranks = rank, ranks
        own = of_rank(trainer, rank, ranks, before)
        own.policy = policy(hint, own.reader, own._tokenizer)
        table(own, hard)
        return own, own.roll_out(clips[rank * share : (rank + 1) * share])

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(work, range(world))), ranks.calls


def training_rows(done):
    """Rows of all ranks that have an answer, whatever their order: clip's prompt, tokens, mask, advantage."""
    own, _ = done[0]
    own.rewards_NK = own.update.rewards
    advantages, rows = own.compute_advantages().tolist(), []
    for rank, (trainer, output) in enumerate(done):
        for i, each in enumerate(trainer.update.rows):
            if not each.blank:
                at = rank * len(trainer.update.rows) + i
                rows.append((output["prompt_ids"][i], output["completion_ids"][i], output["env_mask"][i],
                             each.in_update, round(advantages[at], 5)))  # fmt: skip
    return sorted(rows)


def gathered(value):
    return HERE.ranks.gather(value)


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Its collective operations go through `HERE.ranks`."""
    for name in ("runtime.training.hints.trainer.gather_object", "trl.trainer.grpo_trainer.gather"):
        monkeypatch.setattr(name, gathered)
    return make(tmp_path, rewards=[by_name("format"), by_name("polarity"), by_name("score")], hint={})


def by_name(name):
    section = getattr(Grpo().rewards, name)
    reader = omni.reader()

    def reward(prompts, completions, **_):
        pairs = zip(prompts, completions, strict=True)
        return [
            REWARDS[name](parse_answer(omni.FMT, text), clip_truth(reader, clip), section)
            for clip, text in pairs
        ]

    reward.__name__ = name
    return reward


def test_pitfall_the_second_generation_runs_on_every_rank_and_groups_may_be_split(trainer):
    rng = random.Random(4)
    for case in range(50):
        hint = POLICIES[case % len(POLICIES)]
        share = rng.choice([0.0, 0.2, 0.5, 1.0])
        hard = [{clip for clip in IDS if rng.random() < share}, {clip for clip in IDS if rng.random() < 0.7}]
        before = rng.choice([History, all_hinted])
        (alone, _), (both, calls) = (step(trainer, hint, hard, world, before) for world in (1, 2))
        assert calls[0] == calls[1], "a rank skipped a collective operation"
        assert training_rows(both) == training_rows(alone)
        for own, _ in both:
            assert own.history.to_json() == alone[0][0].history.to_json()
            for name, values in alone[0][0]._metrics["train"].items():
                assert own._metrics["train"][name] == pytest.approx(values, abs=1e-6), name
