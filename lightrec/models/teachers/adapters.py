"""Low-rank adapters (LoRA, arXiv 2106.09685): train a few added weights for each layer of a large language model."""

from __future__ import annotations

import warnings

from peft import LoraConfig, get_peft_model

from lightrec.models.teachers.teacher import Teacher


def add_adapters(teacher: Teacher, rank: int) -> None:
    """Freeze the teacher's language model and add adapters of ``rank`` to all its linear layers.

    The new adapters do not change the output. The item embeddings, the projection and the head are trained as before.
    """
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings():
        # peft warns about GPT-2's transposed layers, and then handles them correctly.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        teacher.language_model = get_peft_model(teacher.language_model, config)


def merge_adapters(teacher: Teacher) -> None:
    """Merge the adapters into the weights of their layers; the teacher then has its usual form again."""
    teacher.language_model = teacher.language_model.merge_and_unload()
