"""Codes 45x: environments that are clusters, and what is rendered for them. Examples are lines of an environment."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F451": Entry(
        "a name that the environment does not have",
        "One part of an environment names another: the pool of the driver, the secret of the store. Pods that mount a "
        "secret that nobody named would wait for ever.",
        "access: {secret: stor}\nsecrets: {store: {name: c2f-store, env: {AWS_ACCESS_KEY_ID: id}}}\n",
        "access: {secret: store}\nsecrets: {store: {name: c2f-store, env: {AWS_ACCESS_KEY_ID: id}}}\n",
    ),
    "C2F452": Entry(
        "a part of a pod that is not the environment's",
        "`pod_template` is the way out for what this version does not know of a cluster: host names, DNS, a runtime "
        "class, affinity, further volumes. What runs in a pod, and as whom, is not in its reach.",
        "pod_template: {spec: {serviceAccountName: admin}}\n",
        "pod_template: {spec: {runtimeClassName: nvidia}}\n",
    ),
    "C2F453": Entry(
        "an NVIDIA driver without CUDA 12",
        "The image is made of CUDA 12, which needs driver 525.60.13 or newer; many A800 nodes run 535 or 550. With an "
        "older one each stage would wait for its GPUs and then fail at its first operation on them.",
        "nvidia_driver: 470.57.02\n",
        "nvidia_driver: 535.129.03\n",
    ),
    "C2F454": Entry(
        "a webhook without a URL",
        "The URL of a webhook is as good as a password, so it comes from a secret, by the variable C2F_NOTIFY_URL.",
        "notify: {secret: hook}\nsecrets: {hook: {name: c2f-hook, env: {URL: url}}}\n",
        "notify: {secret: hook}\nsecrets: {hook: {name: c2f-hook, env: {C2F_NOTIFY_URL: url}}}\n",
    ),
    "C2F455": Entry(
        "an object that Kubernetes would refuse",
        "All that is rendered is checked before it is shown or sent: against the schemas of the environment's version "
        "of Kubernetes, and against its level of Pod Security. A Job whose pods a namespace refuses is accepted, and "
        "then its pods are refused for ever. What is refused nearly always comes from `pod_template`.",
    ),
    "C2F456": Entry(
        "a plan too large for Git",
        "`render --gitops` writes the plan and its code into a ConfigMap, so that a cluster that follows a Git "
        "repository needs nothing else. Kubernetes takes no object of more than 1 MiB.",
    ),
    "C2F457": Entry(
        "a label or variable that is ours",
        "By these labels a pod is found, counted and queued, and these variables say where it writes and what it runs. "
        "A `pod_template` that changed them would break what depends on them, far from here.",
        "pod_template: {metadata: {labels: {c2f-spec/kind: other}}}\n",
        "pod_template: {metadata: {labels: {team: speech}}}\n",
    ),
    "C2F458": Entry(
        "a cluster that cannot serve the teacher",
        "A teacher of kind `vllm` runs in a container of its own beside the stage, started before it and ended after "
        "it. That takes an image of vLLM, by digest, and native sidecars, which Kubernetes has since 1.29.",
        "teacher: {kind: vllm, model: a/b, revision: " + "0" * 40 + "}\nfilters: {polarity_match: {}}\n",
        "teacher: {kind: transformers, model: a/b, revision: "
        + "0" * 40
        + "}\nfilters: {polarity_match: {}}\n",
    ),
    "C2F459": Entry(
        "a secret that the environment does not have",
        "A teacher behind an endpoint names a secret of the environment, never the key itself; the environment says "
        "which Secret of the cluster that is.",
        "teacher: {kind: openai, model: m-2026, endpoint: https://t.example.org/v1, secret: teacher}\n"
        "filters: {polarity_match: {}}\n",
        "teacher: {kind: openai, model: m-2026, endpoint: https://t.example.org/v1}\n"
        "filters: {polarity_match: {}}\n",
    ),
    "C2F460": Entry(
        "a cluster where vLLM cannot generate",
        "With `engine: vllm` the stage's own process starts vLLM, so it runs in an image that has both (`engine_image`); "
        "ours has no vLLM, and every such stage would end at its import with the GPUs taken. A server of its own is "
        "refused on clusters: it is sent new weights after every step, which network policies and Jobs do not allow for.",
        "student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n"
        "grpo: {tuner: lora, engine: vllm}\n",
        "student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}\n"
        "grpo: {tuner: lora, engine: transformers}\n",
    ),
    "C2F461": Entry(
        "what the cluster refuses",
        "Before `apply` starts anything, it asks the API server, as a dry run, for one Job of each kind of stage and for "
        "the bare pod of it, because a server takes Jobs whose pods it would never let run. What it refuses is told at "
        "the line of the environment, or of the spec, that the refused field comes from.",
    ),
    "C2F462": Entry(
        "a list that pods cannot read",
        "A list of hard samples is read by the stage, where the stage runs. On this machine a path is enough; a pod sees "
        "the store's buckets and nothing of the machine that called `apply`, so that it would end after fine-tuning.",
        "grpo: {hint: {trigger: {kind: offline_list, digest: " + "0" * 64 + ", uri: hard.txt}}}\n",
        "grpo: {hint: {trigger: {kind: offline_list, digest: "
        + "0" * 64
        + ", uri: 's3://bucket/hard.txt'}}}\n",
    ),
}
