"""Codes 4xx: pins, files and environments: what a spec means at a place."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

OMNI = "student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n"

ENTRIES: dict[str, Entry] = {
    "C2F401": Entry(
        "an unknown field of c2f.lock",
        "`c2f.lock` says what names stand for, and nothing else. `c2f-spec lock` and `c2f-spec data add` write it.",
        "c2f: v1\ndataset: {}\n",
        "c2f: v1\ndatasets: {}\n",
    ),
    "C2F402": Entry(
        "pins that are not a map",
        "`datasets`, `models` and `images` map a name to the digest of what it stands for.",
        "c2f: v1\ndatasets: [ch-sims]\n",
        "c2f: v1\ndatasets: {}\n",
    ),
    "C2F403": Entry(
        "a pin that is not a digest",
        "A pin is the SHA-256 of the list of a data set's or a model's files, as 64 hex digits; of an image, the digest "
        "that its registry gives, with `sha256:` before it. It is what makes two people's results comparable: a name "
        "alone would mean whatever copy is there.",
        "c2f: v1\ndatasets: {ch-sims: latest}\n",
        "c2f: v1\ndatasets: {ch-sims: " + "0123456789abcdef" * 4 + "}\n",
    ),
    "C2F404": Entry(
        "a pinned model without its commit",
        "One repository holds many revisions, so a model is pinned as repository@commit, with the full hash that the "
        "spec has as `revision`. The digest behind it is of the staged files, which may have come by a mirror or a disk.",
        "c2f: v1\nmodels: {Qwen/Qwen2.5-Omni-7B: " + "0123456789abcdef" * 4 + "}\n",
        "c2f: v1\nmodels:\n  Qwen/Qwen2.5-Omni-7B@ae9e1690543ffd5c0221dc27f79834d0294cba00: "
        + "0123456789abcdef" * 4
        + "\n",
    ),
    "C2F405": Entry(
        "an acceptance that does not say enough",
        "`accept` declares that code with the digest `new` computes what code with the digest `old` did, so that a "
        "refactoring runs nothing again. If the claim is wrong, old results are taken for new ones: whoever reviews it "
        "needs to know who made it and why.",
        "c2f: v1\naccept:\n  - {old: 0123456789abcdef, new: fedcba9876543210}\n",
        "c2f: v1\naccept:\n  - {old: 0123456789abcdef, new: fedcba9876543210, by: mei, why: a loop became a product}\n",
    ),
    "C2F406": Entry(
        "an adoption that does not say enough",
        "`adopted` says that files which were made elsewhere stand for the output of a stage. Nothing can check that they "
        "are what the stage would have made: whoever reviews it needs to know who says so and why. `c2f-spec adopt` "
        "brings the files in and writes the entry.",
        "c2f: v1\nadopted:\n  - {stage: sft, files: latest, by: mei, why: trained last year}\n",
        "c2f: v1\nadopted:\n  - {stage: "
        + "0123456789abcdef" * 4
        + ", files: "
        + "fedcba9876543210" * 4
        + ", by: mei, why: trained last year}\n",
    ),
    "C2F411": Entry(
        "a name that is not pinned",
        "On a cluster every data set and every model needs a line in `c2f.lock`, because the plan is made elsewhere than "
        "where the files are, and two people's plans must mean the same ones. `c2f-spec data add` stages a data set, and `c2f-spec model add` the weights of a model, and "
        "writes its line; `c2f-spec lock` pins what is staged. `plan --offline` shows the plan without.",
    ),
    "C2F412": Entry(
        "a name that is not in the store",
        "Stages read data sets and weights from the store, never from the network. `c2f-spec data add` puts a copy of a "
        "data set there, once, and `c2f-spec model add` the weights of a model.",
    ),
    "C2F413": Entry(
        "several copies behind one name",
        "The store has more than one version of the data set or model, and the spec's name could mean any of them. Pin "
        "the one that is meant in `c2f.lock`.",
    ),
    "C2F414": Entry(
        "a part for demonstrations in an environment that is not",
        "Rendered media, the tiny student and the lexicon teacher show that the tool works, and say nothing about the "
        "method. Environments refuse them unless they say `demo: true`, so that no demonstration ends in a table.",
    ),
    "C2F415": Entry(
        "a part that this version does not run",
        "The schema is ahead of the runtime: the spec can be written, reviewed and planned. `validate` and `plan` note "
        "it, `apply` refuses it by name before anything is submitted (`c2f_spec/spec/support.py`).",
    ),
    "C2F416": Entry(
        "a value that this version does not run",
        "The field is known and its value makes sense, but the runtime would not heed it, and nothing is accepted and "
        "ignored: a run under a setting that had no effect would be reported as one that had. `validate` and `plan` "
        "note it, `apply` refuses it by name before anything is submitted (METHOD 6.4; the values that run are in "
        "`c2f_spec/spec/support.py`).",
    ),
    "C2F417": Entry(
        "a plan of names that are not pinned",
        "`--offline` looks nothing up, so what such a name stands for is not known here. Counts, sharing and cost of the "
        "plan hold; the keys of the stages that need it are provisional, and pinning it gives them others. `apply` "
        "makes its own plan, from what is pinned or staged.",
    ),
    "C2F418": Entry(
        "one staged copy, not pinned",
        "On this machine the only staged copy of a data set or model is taken for what the spec means. Somebody else's "
        "store may hold another one: a line in `c2f.lock` makes the results comparable, and `c2f-spec lock` writes it.",
    ),
    "C2F419": Entry(
        "another image than the pinned one",
        "The environment names its images by digest, and `c2f.lock` holds the digest that was reviewed. Where they "
        "differ, somebody changed one of them alone. The image is in no key, so nothing else would tell. "
        "`c2f-spec lock` pins what the environment has.",
    ),
    "C2F420": Entry(
        "pinned files that are not staged",
        "The lock says which files are meant, and the store that the stages would read does not have them: on a cluster a "
        "GPU would be held before anybody noticed. `c2f-spec model add` stages weights and `c2f-spec data add` data sets, "
        "on a machine that reaches both the source and the store. `plan` warns of it, `apply` refuses it.",
    ),
    "C2F421": Entry(
        "no such environment",
        "An environment says where a spec runs. It is looked up in `--environments DIR`, then in `k8s/environments/` "
        "at the root of the spec's repository, then among those that come with c2f-spec (`local`).",
    ),
    "C2F431": Entry(
        "no such pool",
        "`resources` names a node pool that the environment does not have. Another environment may have it: a pool is "
        "the place's word, so a spec that names one runs only where that word is known. Without `pool` the first one "
        "that has the GPUs is taken.",
        "format: direct\nsft: {}\nresources: {sft: {pool: h100}}\n",
        "format: direct\nsft: {}\nresources: {sft: {pool: gpu}}\n",
    ),
    "C2F432": Entry(
        "more GPUs than a node has",
        "`gpus` are GPUs of one node, and no node of the pool has so many: the pods would wait for ever. Training can "
        "use several nodes (`nodes`), other stages several pods (`shards`).",
        "format: direct\nsft: {batch: 16}\nresources: {sft: {gpus: 16}}\n",
        "format: direct\nsft: {batch: 16}\nresources: {sft: {gpus: 8}}\n",
    ),
    "C2F433": Entry(
        "one stage in two places",
        "Where a stage runs is in no key, because it does not change the result: variants that differ in `resources` "
        "alone share their stages. A shared stage runs once, so its place must be one.",
    ),
    "C2F434": Entry(
        "nodes that cannot train together",
        "Training on several nodes starts when all of its pods run. More nodes than the pool has never do; and the "
        "default scheduler starts pods one by one, so that two such stages can each hold half of the nodes and wait for "
        "ever for the other half. Kueue and Volcano start all pods of a stage or none.",
        "format: direct\nsft: {}\nresources: {sft: {gpus: 8, nodes: 2}}\n",
        "format: direct\nsft: {}\nresources: {sft: {gpus: 8, nodes: 1}}\n",
    ),
    "C2F441": Entry(
        "code that is not Python",
        "The key of a stage holds the code that it can reach, so every file of that code must be Python, in the folder "
        "that the program runs from and in each revision that `diff` compares.",
    ),
    "C2F435": Entry(
        "a stage that does not fit its GPUs",
        "By METHOD 8.4 the stage needs more than 92 % of a GPU's usable memory, for weights, gradients, optimiser, "
        "activations and logits, or weights and cache. It would end with exit code 71 after minutes of loading. Every "
        "weight of a 7B model with ZeRO 2 does not fit 80 GB in GRPO (92 GiB); spread over four GPUs by ZeRO 3 it does.",
        OMNI + "format: direct\nsft: {tuner: full, batch: 2}\nresources: {sft: {gpus: 2, zero: 2}}\n",
        OMNI + "format: direct\nsft: {tuner: lora, batch: 2}\nresources: {sft: {gpus: 2}}\n",
    ),
    "C2F436": Entry(
        "a stage that hardly fits its GPUs",
        "The estimate is above 58 of 79 GiB (in proportion on other GPUs), and estimates of LoRA run 10 to 30 % below "
        "published footprints (METHOD 8.4). Stages log their peak; once one of this shape was measured, the plan knows.",
        OMNI
        + "format: direct\nsft: {tuner: full, batch: 4}\nresources: {sft: {gpus: 4, zero: 2, micro_batch: 1}}\n",
        OMNI
        + "format: direct\nsft: {tuner: full, batch: 4}\nresources: {sft: {gpus: 4, zero: 3, micro_batch: 1}}\n",
    ),
    "C2F442": Entry(
        "a share of a GPU that does not hold the model",
        "`engine.memory` is all that vLLM takes of a GPU: its part of the weights, 17 GiB of Qwen2.5-Omni-7B over "
        "`tensor_parallel` GPUs, and what is left for the cache. With less it ends when it begins, once the stage has its "
        "GPUs and has loaded the model that trains.",
        OMNI + "grpo: {tuner: lora, engine: {kind: vllm, memory: 0.2}}\nresources: {grpo: {gpus: 4}}\n",
        OMNI
        + "grpo: {tuner: lora, engine: {kind: vllm, memory: 0.2, tensor_parallel: 2}}\nresources: {grpo: {gpus: 4}}\n",
    ),
    "C2F438": Entry(
        "a pod without the disk for its stage",
        "A pod that takes a part of a node's GPUs gets the same part of its disk. Weights are downloaded there, and of "
        "training there may be two checkpoints at a time: one of a fully trained 7B model has about 102 GiB with the state "
        "of the optimiser (METHOD 8.4). A pod that fills its disk is evicted, and loses the checkpoint with it.",
    ),
    "C2F439": Entry(
        "few cores for each GPU",
        "Clips are decoded on processors while GPUs train. With fewer than four cores a GPU the GPUs wait for frames and "
        "sound (METHOD 8.4), and a stage takes longer than was estimated.",
    ),
    "C2F437": Entry(
        "a model whose size is not known",
        "Time and memory are estimated from the sizes of a model's layers, which are in a table by the repository's name. "
        "Without them a plan knows only how long a stage takes to start, says `unknown`, and cannot refuse what does not "
        "fit.",
        "student: {model: Qwen/Qwen9-Omni-1T, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n",
        OMNI,
    ),
    "C2F471": Entry(
        "too many policies above each other",
        "A policy may name another one above it, and both hold: a site's, a group's, a project's. More than five are a "
        "circle or a maze; in either nobody knows what holds.",
    ),
    "C2F472": Entry(
        "a rule on a field that does not exist",
        "`fixed` of a policy names fields of a spec by their path. A path that no spec can have would never be broken, "
        "so that the rule would look as if it were kept.",
    ),
    "C2F473": Entry(
        "a rule that no spec can keep",
        "The value that a policy fixes is none that the field can have, so that every experiment with this field would be "
        "denied and none could be written that is not.",
    ),
    "C2F474": Entry(
        "a policy outside of the repository that cannot be used",
        "An environment may name a policy by any path, and a pull request may change the environment. So of a file outside "
        "of the repository nothing is shown, not even what is wrong with it: whoever may read it can put it beside a spec "
        "and call `plan` there.",
    ),
}
