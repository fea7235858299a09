"""Codes 325 to 339 and 349 to 353: hint policies that would run and teach nothing, or the wrong thing (METHOD 1.8, 6.3, 6.4)."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

CHAIN = "teacher: {kind: lexicon}\nfilters: {polarity_match: {}}\n"

ENTRIES: dict[str, Entry] = {
    "C2F325": Entry(
        "hints for groups that are all right",
        "A group has no variance if all its answers are wrong, and also if all are right. Hinting the second kind "
        "gives away what the model already knows, and a model that is always hinted learns to lean on it (METHOD 6.2).",
        "grpo: {hint: {trigger: {kind: zero_variance}}}\n",
        "grpo: {hint: {trigger: {kind: zero_variance, only_if_mean_below: 2}}}\n",
    ),
    "C2F326": Entry(
        "hints that end before they begin",
        "Hints begin after `warmup_steps`, and stop after the share `stop_after` of training so that the model ends as "
        "it is used (METHOD 6.3). Here the second comes first: a run named after hints would have none.",
        "grpo: {steps: 60, hint: {warmup_steps: 50, stop_after: 0.8}}\n",
        "grpo: {steps: 500, hint: {warmup_steps: 50, stop_after: 0.8}}\n",
    ),
    "C2F327": Entry(
        "a hint's field without hints",
        "With `hard_policy: keep` (paper, Table VI) or `drop` (Table VII) no hint is given, and what the policy says of "
        "hints has no effect; `drop` still heeds the trigger. Only a warning, because an ablation switches hints off "
        "and may keep the rest. Fields that a preset fills in are not meant.",
        "grpo: {hint: {hard_policy: keep, dropout: 0.2}}\n",
        "grpo: {hint: {hard_policy: hint, dropout: 0.2}}\n",
    ),
    "C2F328": Entry(
        "an automatic threshold of a part",
        "`auto` is the weights of format and polarity together, 2 in the paper, and is meant for the total reward "
        "(METHOD 1.8). A single reward goes from 0 to 1, so that every group would lie below and be hinted.",
        "grpo: {hint: {trigger: {metric: polarity}}}\n",
        "grpo: {hint: {trigger: {metric: polarity, threshold: 0.5}}}\n",
    ),
    "C2F329": Entry(
        "a threshold that no reward reaches",
        "A single reward, without its weight, goes from 0 to 1, a total to the sum of the weights, and is compared with "
        "`<`. At 0 or lower no group is ever hard, above the most every group is: the trigger would decide nothing "
        "(METHOD 1.8).",
        "grpo: {hint: {trigger: {metric: correct, threshold: 1.5}}}\n",
        "grpo: {hint: {trigger: {metric: correct, threshold: 0.5}}}\n",
    ),
    "C2F330": Entry(
        "a batch's deviation over hinted groups",
        "In a group that is hinted as a whole the polarity reward is a constant and drops out. `scale: batch` divides "
        "by the deviation of all groups, which the gift to the hinted ones distorts (METHOD 6.3): exclude it there. "
        "Where every group of every batch is hinted (`trigger: always`) nothing is mixed.",
        "grpo: {scale: batch}\n",
        "grpo: {scale: batch, hint: {polarity_reward_on_hinted: exclude}}\n",
    ),
    "C2F331": Entry(
        "a mixed group that is not fair",
        "Hinted answers are given their polarity. Normalised together with the others, each beats each of them by the "
        "weight of the polarity reward, for free, and what is reinforced is having been hinted (METHOD 6.3). It does "
        "not matter whether the hint stands in the answer or in the prompt.",
        "grpo: {hint: {group: {kind: replace_k, k: 2}, normalise: joint}}\n",
        "grpo: {hint: {group: {kind: replace_k, k: 2}, normalise: joint, polarity_reward_on_hinted: exclude}}\n",
    ),
    "C2F332": Entry(
        "one answer normalised by itself",
        "An advantage is the distance from the mean (METHOD 1.6), and a single answer is its own mean. With "
        "`normalise: separate` the only hinted answer of a group would be paid for and never learned from, and so would "
        "the only one that `replace_k` leaves without a hint.",
        "grpo: {hint: {group: {kind: replace_k, k: 1}}}\n",
        "grpo: {hint: {group: {kind: replace_k, k: 2}}}\n",
    ),
    "C2F333": Entry(
        "no answer left in a mixed group",
        "`replace_k` keeps some of the model's own answers beside the hinted ones; Scaf-GRPO replaces one (METHOD 6.1). "
        "With all of them replaced there is no mix: the paper's way, with a name of its own, is `replace_all`.",
        "grpo: {generations: 4, hint: {group: {kind: replace_k, k: 4}}}\n",
        "grpo: {generations: 4, hint: {group: {kind: replace_k, k: 2}}}\n",
    ),
    "C2F334": Entry(
        "more hinted answers than own ones",
        "Appended answers are meant to pull a group of the model's own; LUFFY adds one to seven (METHOD 6.1). Here most "
        "of the group was given its polarity, so that the policy is mostly trained on what it did not begin itself.",
        "grpo: {generations: 4, hint: {group: {kind: append, k: 6}}}\n",
        "grpo: {generations: 4, hint: {group: {kind: append, k: 2}}}\n",
    ),
    "C2F335": Entry(
        "a part of a polarity",
        "A level is the share of the hint that is given, and a polarity is a single word: half of it, or a ladder of "
        "shares, would be the same hint under another name (METHOD 6.4). Chains of thought can be divided.",
        "grpo: {hint: {level: {level: 0.5}}}\n",
        CHAIN + "grpo: {hint: {content: trace_prefix, prefix_end: after_think_open, level: {level: 0.5}}}\n",
    ),
    "C2F336": Entry(
        "a loss on tokens that are not there",
        "`forced_loss` is about the tokens that the hint forces at the start of the answer. A hint in the prompt forces "
        "none, and prompts carry no loss (METHOD 1.1, 6.4).",
        "grpo: {hint: {placement: in_prompt, forced_loss: {mode: sft}}}\n",
        "grpo: {hint: {placement: in_answer, forced_loss: {mode: sft}}}\n",
    ),
    "C2F337": Entry(
        "free text at the start of an answer",
        "The format reward is for the whole answer, hint included, and allows no text before the first tag (METHOD 1.3, "
        "6.3). Every hinted answer would lose it, so that training speaks against the format.",
        "grpo: {hint: {content: {kind: text, column: note}}}\n",
        "grpo: {hint: {content: {kind: text, column: note}, placement: in_prompt}}\n",
    ),
    "C2F338": Entry(
        "a chain before its tag",
        "A hint that begins the chain of thought stands behind `<think>`, and `prefix_end: after_polarity` ends before "
        "it. The answer must be, token by token, the start of one that fine-tuning has taught (METHOD 1.8).",
        CHAIN + "grpo: {hint: {content: trace_prefix}}\n",
        CHAIN + "grpo: {hint: {content: trace_prefix, prefix_end: after_think_open}}\n",
    ),
    "C2F339": Entry(
        "a hint from chains that nobody writes",
        "`trace_prefix` gives the first part of the sample's distilled chain. Chains are written by the teacher and kept "
        "by the filters (METHOD 3), and this spec has neither.",
        "grpo: {hint: {content: trace_prefix, prefix_end: after_think_open}}\n",
        CHAIN + "grpo: {hint: {content: trace_prefix, prefix_end: after_think_open}}\n",
    ),
    "C2F349": Entry(
        "a list that lies nowhere",
        "The trigger `offline_list` hints the samples that earlier rollouts found hard (METHOD 1.8). The digest says which "
        "list it is and is part of the experiment; `uri` says where the file lies, which may change.",
        "grpo: {hint: {trigger: {kind: offline_list, digest: " + "0" * 64 + "}}}\n",
        "grpo: {hint: {trigger: {kind: offline_list, digest: " + "0" * 64 + ", uri: hard.txt}}}\n",
    ),
    "C2F350": Entry(
        "a share of less than one clip",
        "`max_hinted_fraction` is the most of a step's clips that are hinted, rounded down: a sample with a wrong label is "
        "hard for ever (METHOD 6.3). Here not even one clip fits, so that the policy would be one without hints.",
        "grpo: {batch: 4, hint: {max_hinted_fraction: 0.2}}\n",
        "grpo: {batch: 4, hint: {max_hinted_fraction: 0.25}}\n",
    ),
    "C2F351": Entry(
        "a trigger on a reward that is not given",
        "`metric: score` compares the score reward of each answer, with the shape and gate that `grpo.rewards.score` says. "
        "Without that section there is no such number. With a weight of 0 it is computed and does not count.",
        "grpo: {rewards: {format: {}, polarity: {}}, hint: {trigger: {metric: score, threshold: 0.5}}}\n",
        "grpo: {rewards: {format: {}, polarity: {}, score: {weight: 0}}, hint: {trigger: {metric: score, threshold: 0.5}}}\n",
    ),
    "C2F352": Entry(
        "a trigger that tells nothing apart",
        "A trigger says which samples are hard. If all are, `drop` leaves nothing to train on, and hints go to samples that "
        "need none; if none are, a run that is named after hints has none (METHOD 6.2). To hint every sample on purpose "
        "there is `trigger: always`.",
        "grpo: {hint: {hard_policy: drop, trigger: always}}\n",
        "grpo: {hint: {hard_policy: drop, trigger: {kind: pass_rate, max_rate: 0}}}\n",
    ),
    "C2F353": Entry(
        "hinted answers without any reward",
        "`polarity_reward_on_hinted: exclude` takes from hinted answers the polarity that they were given. Where that is the "
        "only reward with a weight nothing is left to compare them by, and their groups would be generated and thrown away.",
        "grpo: {rewards: {polarity: {}}, hint: {trigger: {metric: polarity, threshold: 0.5}, polarity_reward_on_hinted: exclude}}\n",
        "grpo: {rewards: {polarity: {}, score: {}}, hint: {trigger: {metric: polarity, threshold: 0.5}, polarity_reward_on_hinted: exclude}}\n",
    ),
}
