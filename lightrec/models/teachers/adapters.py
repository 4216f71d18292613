"""Low-rank adapters (LoRA, arXiv 2106.09685): train a few numbers beside each layer of a large language model."""

from __future__ import annotations

import warnings

from peft import LoraConfig, get_peft_model

from lightrec.models.teachers.teacher import Teacher


def add_adapters(teacher: Teacher, rank: int) -> None:
    """Freeze the teacher's language model and put adapters of ``rank`` beside all its linear layers.

    At first they change nothing. What is not the language model's (items, projection, head) is trained as ever.
    """
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings():
        # Of GPT-2's transposed layers it warns, and then does what is right.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        teacher.language_model = get_peft_model(teacher.language_model, config)


def merge_adapters(teacher: Teacher) -> None:
    """Add the adapters into the layers beside which they stand; the teacher then has its usual form again."""
    teacher.language_model = teacher.language_model.merge_and_unload()
