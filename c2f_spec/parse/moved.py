"""An unknown field → where its writer meant to put it, or what it is called here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from c2f_spec.lookalikes import close, one_of
from c2f_spec.parse.messages import fields_at, members
from c2f_spec.spec.base import DISCRIMINATORS

if TYPE_CHECKING:
    from pydantic import BaseModel

USUAL = {
    "batch_size": "batch",
    "train_batch_size": "batch",
    "per_device_train_batch_size": "batch",
    "benchmarks": "datasets",
    "test_sets": "datasets",
    "clip_range": "epsilon",
    "cliprange": "epsilon",
    "clip_eps": "epsilon",
    "commit": "revision",
    "frames": "max_frames",
    "num_frames": "max_frames",
    "kl": "beta",
    "kl_coef": "beta",
    "kl_coeff": "beta",
    "kl_loss_coef": "beta",
    "lora_alpha": "alpha",
    "lora_r": "rank",
    "r": "rank",
    "lora": "tuner",
    "lr": "learning_rate",
    "lr_scheduler_type": "schedule",
    "scheduler": "schedule",
    "max_completion_length": "max_new_tokens",
    "max_grad_norm": "grad_clip",
    "gradient_clipping": "grad_clip",
    "max_steps": "steps",
    "max_tokens": "max_new_tokens",
    "max_length": "max_new_tokens",
    "model_name_or_path": "model",
    "group_size": "generations",
    "num_generations": "generations",
    "num_samples": "samples",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "random_seed": "seed",
    "scale_rewards": "scale",
    "warmup_ratio": "warmup",
}
"""What these fields are called in TRL, verl, transformers and peft. A test holds every right side against the schema."""

ELSEWHERE = {"enabled": "`hard_policy` says it: `hint`, `keep` (w/o Hint) or `drop` (w/o Hard)"}
"""Fields that have no other name here, because another field says the same."""


def guidance(root: Any, loc: tuple[str | int, ...]) -> str:
    """The hint for the unknown field at the end of `loc`."""
    name, here = str(loc[-1]), fields_at(root, loc[:-1])
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    usual = USUAL.get(name.lower().replace("-", "_"))
    if usual in here:
        return f"it is called `{usual}` here"
    homes, section = _homes(root), [str(part) for part in loc[:-1]]
    near = close(name, here)
    if near and name not in homes:
        return f"did you mean `{near}`?"
    for word in (name, usual):
        if word not in homes:
            continue
        kinds = homes[word].get(".".join(section[:-1]))
        if kinds and section[-1] not in homes:  # the last part is not a field but the tag of a union
            return f"`{word}` is a field of kind {' or '.join(f'`{k}`' for k in kinds)}"
        verb = "belongs" if word == name else f"is called `{word}` and belongs"
        return f"`{name}` {verb} {_nearest(list(homes[word]), section)}"
    return one_of(here)


def _homes(root: Any) -> dict[str, dict[str, list[str]]]:
    """Field → the sections that have it, as dotted paths (`""` is the top), and the kinds of that section."""
    found: dict[str, dict[str, list[str]]] = {}

    def walk(model: type[BaseModel], path: tuple[str, ...]) -> None:
        kind = next((model.model_fields[d] for d in DISCRIMINATORS if d in model.model_fields), None)
        for name, field in model.model_fields.items():
            kinds = found.setdefault(name, {}).setdefault(".".join(path), [])
            kinds += get_args(kind.annotation) if kind is not None else ()
            for inner in members(field.annotation):
                walk(inner, (*path, name))

    for model in members(root):
        walk(model, ())
    return found


def _nearest(homes: list[str], here: list[str]) -> str:
    """`in `grpo``, or `in `sft` or `grpo``; a home below the present section is the only one that counts."""
    inside = [h for h in homes if h.split(".")[: len(here)] == here] if here else []
    chosen = (inside or homes)[:3]
    if "" in chosen:
        return "at the top of the spec, beside `name`"
    return "in " + " or ".join(f"`{home}`" for home in chosen)
