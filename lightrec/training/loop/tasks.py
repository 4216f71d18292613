"""Training tasks: a model together with its training objective, as the module that the trainer optimises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightrec.settings import TrainingSettings
from lightrec.training.loop.losses import Distillation, TeacherTargets, catalogue_loss, sampled_catalogue_loss


class NextItemTask(nn.Module):
    """Cross-entropy over the catalogue for causal and masked models, with or without teachers.

    Args:
        model: a student or a teacher.
        mask_probability: share of items to hide, for a masked objective without fixed masks.
        negatives: items drawn for a sampled softmax; 0 takes the whole catalogue.
        average_steps: steps over which weights are averaged exponentially; 0 turns averaging off.
        temperature, distill_weight, anneal, instance_weighting: see
            :class:`~lightrec.settings.DistillSettings`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        mask_probability: float = 0.3,
        negatives: int = 0,
        average_steps: float = 0.0,
        temperature: float = 1.0,
        distill_weight: float = 0.0,
        anneal: float = 0.0,
        instance_weighting: str = "none",
    ):
        super().__init__()
        self.model = model
        self.averaged = _average_of(model, average_steps) if average_steps else None
        self.mask_probability = mask_probability
        self.negatives = negatives
        self.temperature = temperature
        self.distill_weight = distill_weight
        self.anneal = anneal
        self.instance_weighting = instance_weighting
        self.progress = 0.0
        """Share of all steps that are done, 0 to 1; the trainer updates it."""

    def forward(
        self,
        items: Tensor,
        length: Tensor,
        masked: Tensor | None = None,
        teacher: dict[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Return the ``loss`` of one batch of windows, a mean over positions, and the number of ``positions``.

        Args:
            items: int64 ``[B, T]``, right-padded.
            length: int64 ``[B]``.
            masked: bool ``[B, T]``, the items to hide; drawn anew if None (masked objective).
            teacher: the fields of :class:`~lightrec.training.loop.losses.TeacherTargets`.
        """
        model: Any = self.model
        if model.objective == "causal":
            history = items[:, :-1]
            asked = torch.arange(history.shape[1], device=items.device)[None, :] < (length - 1)[:, None]
            states, targets = model.states(history)[asked], items[:, 1:][asked]
        else:
            if masked is None:
                masked = self._draw_masks(items, length)
            states, targets = model.states(items, length, masked)[masked], items[masked]
        loss = self._loss(states, targets, TeacherTargets(**teacher) if teacher else None)
        return {"loss": loss, "positions": len(targets)}

    @property
    def best_model(self) -> Any:
        """The model to validate and save: the averaged one if there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def average(self) -> None:
        """Add the model's weights to the average; the trainer calls this after every step."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def ask(self, batch: dict[str, Any]) -> int:
        """Return the number of target positions in a batch; a masked objective first draws masks if it has none."""
        if self.model.objective == "causal":
            return int(batch["length"].sum()) - len(batch["length"])
        if "masked" not in batch:
            batch["masked"] = self._draw_masks(batch["items"], batch["length"])
        return int(batch["masked"].sum())

    def _loss(self, states: Tensor, targets: Tensor, teacher: TeacherTargets | None) -> Tensor:
        model: Any = self.model
        how = Distillation(
            self.current_distill_weight, self.temperature, by_confidence=self.instance_weighting == "confidence"
        )
        extras: dict[str, Any] = {"bias": getattr(model, "item_bias", None), "teacher": teacher, "distillation": how}
        if self.negatives:
            return sampled_catalogue_loss(states, model.item_table, targets, self.negatives, **extras)
        return catalogue_loss(states, model.item_table, targets, **extras)

    @property
    def current_distill_weight(self) -> float:
        """The teachers' current share: constant, then falling linearly to zero over the last ``anneal`` of the run."""
        if self.anneal == 0:
            return self.distill_weight
        return self.distill_weight * min(1.0, max(0.0, (1 - self.progress) / self.anneal))

    def _draw_masks(self, items: Tensor, length: Tensor) -> Tensor:
        """Draw masks bool ``[B, T]``; a quarter of the windows hide only the last item, as when a prefix is scored."""
        steps = torch.arange(items.shape[1], device=items.device)[None, :]
        last = steps == (length - 1)[:, None]
        drawn = (torch.rand(items.shape, device=items.device) < self.mask_probability) & (steps < length[:, None])
        only_last = (torch.rand(len(items), 1, device=items.device) < 0.25) | ~drawn.any(dim=1, keepdim=True)
        return torch.where(only_last, last, drawn)


def _average_of(model: nn.Module, steps: float) -> AveragedModel:
    """Return an exponential average over about ``steps`` steps, and over fewer at first to forget the random start."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        torch._foreach_lerp_(list(averaged), list(current), max(1 / steps, 9 / (10 + float(count))))

    average = AveragedModel(model, multi_avg_fn=update)
    return average.requires_grad_(False)


def common_options(settings: TrainingSettings, n_windows: int, n_items: int) -> dict[str, Any]:
    """Return the arguments of :class:`NextItemTask` that all training commands share."""
    return {
        "mask_probability": settings.mask_probability,
        "negatives": settings.negatives or (8192 if n_items > 100_000 else 0),
        "average_steps": settings.average_epochs * math.ceil(n_windows / settings.batch_size),
    }
