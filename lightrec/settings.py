"""Settings of finetune, train and distill: every key with its default, its meaning and the help text of its option.

The command line builds its options from these fields, so this module imports only the standard library.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

DEFAULT_LANGUAGE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The language model that teachers start from and that reads item texts."""


def setting(default: Any, help: str, *, flag: str | None = None, metavar: str | None = None) -> Any:
    """Declare a field that the command line offers as an option.

    Args:
        default: the field's default.
        help: the option's help text.
        flag: the option's name, if it is not the field's name with hyphens.
        metavar: what the help shows for the option's value.
    """
    return dataclasses.field(default=default, metadata={"help": help, "flag": flag, "metavar": metavar})


def other_default(kind: type, name: str, default: Any) -> Any:
    """Declare the field ``name`` of the base class ``kind`` again with another default and the same option."""
    inherited = next(field for field in dataclasses.fields(kind) if field.name == name)
    return dataclasses.field(default=default, metadata=inherited.metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings that every training run has."""

    split: Literal["leave-one-out", "temporal"] = setting("leave-one-out", "How the data is divided.")
    """How the data is divided; validation and test targets are never trained on."""
    quantile: float = setting(0.9, "Where the temporal split cuts the time line.")
    """Where the temporal split cuts the time line."""
    max_length: int = setting(50, "Most items of a history that the model reads.")
    """Most items of a history that the model reads, L."""
    epochs: int = setting(60, "Most passes over the data.")
    """Most passes over the training sequences; early stopping may end training sooner."""
    batch_size: int = setting(128, "Windows of a history in one step, on all processes together.")
    """Number of windows of users' histories in one optimiser step, over all processes together."""
    gradient_accumulation: int = setting(1, "Parts in which a step is computed, to save memory.")
    """Number of parts in which a step is computed: the same step in less memory. With ``instance_weighting =
    "confidence"`` the step differs slightly, because its weights have mean one in each part."""
    precision: Literal["fp32", "bf16", "auto"] = setting(
        "fp32", "Precision of the layers; auto takes bf16 where the hardware has it."
    )
    """``bf16`` computes the layers in bfloat16, which the hardware must support; weights stay float32. ``auto`` uses
    bf16 where the hardware supports it."""
    learning_rate: float = setting(1e-3, "Highest learning rate.")
    """Highest learning rate of AdamW; the rate warms up to it, then falls to zero along a cosine."""
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    evaluate_every: int = 1
    """Epochs between two validations; each validation also writes a checkpoint to resume from."""
    patience: int = setting(10, "Validations without progress before training stops; 0 never stops early.")
    """Number of validations without a better NDCG@10 after which training stops; 0 never stops early."""
    validation_cases: int = 10_000
    """Most validation cases to score at each validation, drawn once and the same for every seed; 0 takes all."""
    mask_probability: float = 0.3
    """For the masked objective: the share of items hidden in a window."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """How a state and an item vector give a score; see :class:`~lightrec.models.students.student.StudentConfig`."""
    logit_scale: float = 10.0
    """For cosine similarity only: factor on the cosines, the inverse of the softmax temperature."""
    average_epochs: float = 3.0
    """Epochs over which the weights are averaged (exponentially) for validation and for the saved model; 0 uses the
    last weights."""
    negatives: int = setting(0, "Items drawn for a sampled softmax; 0 takes all, up to 100,000.")
    """Items drawn for a sampled softmax with logQ correction; 0 takes the whole catalogue if it has at most 100,000
    items, and draws 8,192 items otherwise."""
    seed: int = setting(0, "Makes the run repeatable.")
    """Seed of all random choices, so that the run is repeatable."""
    device: str = setting("auto", "auto, cpu, cuda or mps.")
    """``cpu``, ``cuda``, ``mps``, or ``auto`` for the best that is available."""
    report_to: str = setting("none", "Trackers known to transformers' Trainer: tensorboard, wandb, ...")
    """Trackers that transformers' Trainer knows (``tensorboard``, ``wandb``, ...), separated by commas."""

    def problems(self) -> list[str]:
        """Return the mistakes in the settings that a type check does not find, one sentence each."""
        least: dict[str, float] = {
            "max_length": 2,
            "epochs": 1,
            "batch_size": 1,
            "gradient_accumulation": 1,
            "evaluate_every": 1,
            "patience": 0,
            "validation_cases": 0,
            "negatives": 0,
            "average_epochs": 0,
            "seed": 0,
            "weight_decay": 0,
        }
        mistakes = [
            f"{key} = {getattr(self, key)} must be at least {low}"
            for key, low in least.items()
            if getattr(self, key) < low
        ]
        if self.seed >= 2**32:
            mistakes.append(f"seed = {self.seed} must be below 2**32")
        if self.learning_rate < 0:
            mistakes.append(f"learning_rate = {self.learning_rate} must be above 0, or 0 to have it chosen")
        if self.logit_scale <= 0:
            mistakes.append(f"logit_scale = {self.logit_scale} must be above 0")
        for key in ("quantile", "mask_probability"):
            if not 0 < getattr(self, key) < 1:
                mistakes.append(f"{key} = {getattr(self, key)} must lie between 0 and 1")
        if not 0 <= self.warmup < 1:
            mistakes.append(f"warmup = {self.warmup} must be at least 0 and below 1")
        return mistakes

    def peak_rate(self, steps_per_epoch: int) -> float:
        """Return the highest learning rate: the one that is set, or, if that is 0, one that fits the size of the data.

        With cosine similarity, the best rates found move the weights equally far in an epoch of 20 steps and in one
        of 200; with the dot product, one rate was good for all data sets (docs/log/2026-11.md).
        """
        if self.learning_rate:
            return self.learning_rate
        return 2e-3 if self.similarity == "dot" else min(2e-3, max(2e-4, 0.05 / steps_per_epoch))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneSettings(TrainingSettings):
    """Settings of stage 1, in which a language model is fine-tuned into a teacher."""

    base: str = setting(DEFAULT_LANGUAGE_MODEL, "Language model: a local path or a hub id.")
    """The language model: a local path or a hub id."""
    from_run: str | None = setting(
        None,
        "Start from the layers of a teacher of other data; its items are not taken over.",
        flag="--from",
        metavar="RUN",
    )
    """Run folder of a teacher of other data; training starts from its language model, head and text projection."""
    lora: int = setting(0, "Rank of low-rank adapters; 0 trains the layers themselves.")
    """Rank of low-rank adapters (LoRA) added to the language model's layers, which are then frozen; 0 trains the layers
    themselves. Adapters allow a higher ``learning_rate``, such as 1e-3."""
    item_input: Literal["ids", "text", "both"] = setting("both", "What an item's vector is made from.")
    """What an item's vector is made from: a learnt id embedding, the encoding of its text, or their sum."""
    objective: Literal["causal", "masked"] = setting(
        "causal", "Predict the next item (causal) or hidden items (masked)."
    )
    """``causal``: predict the next item at every position; ``masked``: hide items and predict them."""
    epochs: int = other_default(TrainingSettings, "epochs", 8)
    """See :class:`TrainingSettings`."""
    batch_size: int = other_default(TrainingSettings, "batch_size", 16)
    """See :class:`TrainingSettings`."""
    learning_rate: float = other_default(TrainingSettings, "learning_rate", 1e-4)
    """Highest learning rate of the language model's own layers; at 3e-4 MiniLM forgets more than it learns."""
    item_learning_rate: float = setting(5e-3, "Highest learning rate of item vectors, projection and head.")
    """Highest learning rate of the new parameters: item vectors, projection and head."""
    dropout: float = setting(0.2, "Dropout, in training only.")
    """Dropout on the item vectors."""
    language_model_dropout: float = 0.0
    """Dropout inside the language model; without dropout a step on a CPU takes a quarter less time."""
    patience: int = other_default(TrainingSettings, "patience", 3)
    """See :class:`TrainingSettings`."""

    def problems(self) -> list[str]:
        """Return the mistakes in the settings that a type check does not find, one sentence each."""
        mistakes = super().problems()
        if self.learning_rate == 0:
            mistakes.append("learning_rate = 0 must be above 0")
        if self.item_learning_rate <= 0:
            mistakes.append(f"item_learning_rate = {self.item_learning_rate} must be above 0")
        if self.lora < 0:
            mistakes.append(f"lora = {self.lora} must be at least 0")
        return mistakes + _dropout_problems(self.dropout) + _dropout_problems(self.language_model_dropout)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentSettings(TrainingSettings):
    """Settings of a student that is trained on the data alone, the baseline of distillation."""

    student: Literal["sasrec", "mini-bert", "gru4rec"] = setting("sasrec", "Architecture of the student.")
    """The student's architecture."""
    from_run: str | None = setting(
        None, "Continue from this student; new items are added to it.", flag="--from", metavar="RUN"
    )
    """Run folder of a student to continue; items are matched by their ids, and new items start as usual."""
    hidden_size: int = setting(64, "Width of the item vectors, d.")
    """Width of the item vectors and layers, d."""
    num_layers: int = setting(2, "Layers of the student.")
    """Number of transformer layers, or of recurrent layers in gru4rec."""
    num_heads: int = setting(2, "Attention heads.")
    """Number of attention heads; gru4rec has none."""
    intermediate_size: int | None = None
    """Width inside the feed-forward blocks of sasrec and mini-bert; None takes four times ``hidden_size``. The SASRec
    paper uses ``hidden_size`` itself: fewer bytes and less computation."""
    dropout: float = setting(0.5, "Dropout, in training only.")
    """Dropout in the student."""
    learning_rate: float = setting(0.0, "Highest learning rate; 0 chooses it by the size of the data.")
    """Highest learning rate of AdamW; 0 chooses it by the size of the data, see :meth:`peak_rate`."""
    hold_out_items: float = setting(0.0, "Share of the items kept out of training, for lightrec evaluate --cold-items.")
    """Share of the items with a text that are left out of training entirely, to measure cold items; drawn by seed."""

    init_items: Literal["none", "text", "teacher"] = setting(
        "none", "What the item table starts from: none is random, teacher is for distill only."
    )
    """What the item table starts from: ``none``, random numbers; ``text``, the language model's encoding of the item
    texts; or ``teacher``, the first teacher's item vectors (distil only). Both are centred, reduced by PCA and
    whitened (WhitenRec, arXiv 2402.10602)."""
    base: str = setting(DEFAULT_LANGUAGE_MODEL, "Language model that reads item texts: a local path or a hub id.")
    """The language model that reads item texts: a local path or a hub id."""
    neighbours: int = setting(0, "Item-item weights fitted for each item beside the layers, 3 bytes each; 0 for none.")
    """Item-item weights per item, which are added to the student's logits, three bytes each. They are fitted after
    training and saved only if they help on validation; 0 for none. See
    :mod:`lightrec.training.items.item_item_weights`."""

    def problems(self) -> list[str]:
        """Return the mistakes in the settings that a type check does not find, one sentence each."""
        mistakes = super().problems()
        if self.neighbours < 0:
            mistakes.append(f"neighbours = {self.neighbours} must be at least 0")
        for key in ("hidden_size", "num_layers", "num_heads"):
            if getattr(self, key) < 1:
                mistakes.append(f"{key} = {getattr(self, key)} must be at least 1")
        if self.intermediate_size is not None and self.intermediate_size < 1:
            mistakes.append(f"intermediate_size = {self.intermediate_size} must be at least 1")
        if self.student != "gru4rec" and self.num_heads >= 1 and self.hidden_size % self.num_heads:
            mistakes.append(f"hidden_size = {self.hidden_size} must be a multiple of num_heads = {self.num_heads}")
        if not 0 <= self.hold_out_items < 1:
            mistakes.append(f"hold_out_items = {self.hold_out_items} must be at least 0 and below 1")
        if self.hold_out_items and self.from_run is not None:
            mistakes.append("hold_out_items cannot go with from_run (--from): the earlier student may know these items")
        if self.init_items == "teacher" and not hasattr(self, "teachers"):
            mistakes.append("init_items = 'teacher' needs a teacher: distil, or take 'text' or 'none'")
        return mistakes + _dropout_problems(self.dropout)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillSettings(StudentSettings):
    """Settings of stage 2, in which a student learns from teachers and from the data together."""

    teachers: tuple[str, ...] = setting(
        (), "Run folder of a teacher; repeat it for several.", flag="--teacher", metavar="RUN"
    )
    """Run folders of the teachers; the outputs of several are averaged."""
    teacher_scores: str | None = setting(
        None, "Scores of any other system: user, position, item, score.", metavar="FILE"
    )
    """File of scores (user, position, item, score) from any other system, used as one more teacher at the positions
    that it contains."""
    teacher_weights: str = setting(
        "auto", "One number for each teacher (0.6,0.4), the one of --teacher-scores last, or auto."
    )
    """One number per teacher, separated by commas, with that of the score file last: the factor on the teacher's
    log-probabilities in the weighted sum of all teachers. ``auto`` fits the runs' weights on validation cases, fits the
    scale of the file's scores on training positions, and gives the file the weight of one teacher among all."""
    temperature: float = setting(2.0, "Softens the distributions of teacher and student.")
    """Temperature by which the logits of teacher and student are divided (Hinton et al., arXiv 1503.02531)."""
    distill_weight: float = setting(0.5, "Share of the teachers in the loss, 0 to 1.")
    """Share of the teachers in the loss, 0 to 1; the true items have the rest."""
    anneal: float = setting(0.3, "Last share of training over which the distillation weight falls to 0.")
    """Share of the steps, at the end, over which ``distill_weight`` falls to zero; 0 keeps it constant."""
    instance_weighting: Literal["none", "confidence"] = setting(
        "none", "Weight instances equally, or by the teacher's confidence in the true item."
    )
    """``confidence`` weights an instance by the teacher's probability of the true item (DLLM2Rec). The weights are
    scaled to mean one over what one process computes at a time, so they differ slightly with several processes or
    several parts of a step."""
    init_items: Literal["none", "text", "teacher"] = other_default(StudentSettings, "init_items", "teacher")
    """See :class:`StudentSettings`."""
    neighbours: int = other_default(StudentSettings, "neighbours", 8)
    """See :class:`StudentSettings`."""
    mask_patterns: int = setting(8, "Masked student: fixed patterns of hidden items per window.")
    """For a masked teacher and student: the number of fixed patterns of hidden items per window."""
    cache_gib: float = 1.0
    """Largest cache of full teacher outputs in GiB; if they need more, only the top items and the remaining probability
    mass are cached."""
    cache_items: int = 100
    """Number of top items that are cached in that case."""

    def problems(self) -> list[str]:
        """Return the mistakes in the settings that a type check does not find, one sentence each."""
        mistakes = super().problems()
        mistakes += self._teacher_problems()
        if self.hold_out_items:
            mistakes.append("hold_out_items is for lightrec train: a teacher has seen these items")
        if self.temperature <= 0:
            mistakes.append(f"temperature = {self.temperature} must be above 0")
        for key in ("distill_weight", "anneal"):
            if not 0 <= getattr(self, key) <= 1:
                mistakes.append(f"{key} = {getattr(self, key)} must lie between 0 and 1")
        for key in ("mask_patterns", "cache_items"):
            if getattr(self, key) < 1:
                mistakes.append(f"{key} = {getattr(self, key)} must be at least 1")
        return mistakes

    @property
    def given_teacher_weights(self) -> tuple[float, ...] | None:
        """The numbers in ``teacher_weights``; None if it is ``auto``."""
        return None if self.teacher_weights == "auto" else tuple(map(float, self.teacher_weights.split(",")))

    def _teacher_problems(self) -> list[str]:
        voices = len(self.teachers) + (self.teacher_scores is not None)
        if not voices:
            return ["teachers is empty: give at least one --teacher RUN, or --teacher-scores FILE"]
        mistakes = []
        if self.teacher_scores is not None and self.hold_out_items:
            mistakes.append("teacher_scores cannot go with hold_out_items: its author has seen those items")
        try:
            given = self.given_teacher_weights
        except ValueError:
            return [*mistakes, f"teacher_weights = {self.teacher_weights!r} must be auto, or numbers such as 0.6,0.4"]
        if given is not None and len(given) != voices:
            mistakes.append(
                f"teacher_weights = {self.teacher_weights!r} has {len(given)} numbers for {voices} teachers"
            )
        if given is not None and not all(0 < weight < math.inf for weight in given):
            mistakes.append(f"teacher_weights = {self.teacher_weights!r} must hold numbers above 0")
        if given is not None and len(self.teachers) == voices == 1:
            mistakes.append("teacher_weights weighs several teachers: leave it out for a single one")
        return mistakes


def _dropout_problems(dropout: float) -> list[str]:
    return [] if 0 <= dropout < 1 else [f"dropout = {dropout} must be at least 0 and below 1"]


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {"finetune": {}, "distill": {}},
    "paper": {
        "finetune": {"item_input": "ids", "objective": "masked", "similarity": "dot", "average_epochs": 0.0},
        "distill": {
            "student": "mini-bert",
            "similarity": "dot",
            "average_epochs": 0.0,
            "init_items": "none",
            "neighbours": 0,
            "instance_weighting": "none",
            "anneal": 0.0,
            "distill_weight": 0.5,
        },
    },
}
"""Named configurations. ``paper`` is that of arXiv 2409.14810 as far as it is known: a BERT over item ids, trained by
masking, distilled into a Mini-BERT with temperature-softened targets and true labels. Flags and ``--config`` override
a recipe."""
