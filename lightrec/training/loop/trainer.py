"""The training loop: transformers' Trainer with validation by :mod:`lightrec.evaluation.protocol`.

Trainer provides different devices, several processes, gradient clipping, checkpoints with the state of every random
generator, resuming and trackers. This module adds validation by full ranking, batches of windows of similar length, one
learning rate for the language model and another for new parameters, and the progress that a task's annealing needs.

On several processes, started by ``accelerate launch``, a run takes the same steps as on one: the batch size is that of
all processes together, and the loss is the mean over all positions of a step, regardless of how they are divided among
processes and accumulated parts. Without dropout the loss curve is the same. With dropout, each process and part draws
its own, so that runs differ as runs of two seeds do; so do masks drawn anew and sampled negatives.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.integrations import INTEGRATION_TO_CALLBACK, integration_utils
from transformers.trainer_callback import PrinterCallback, TrainerControl
from transformers.utils import logging as transformers_logging

from lightrec.data.splits import Cases, Split
from lightrec.errors import ConfigError, DataError, DivergedError, ModelError
from lightrec.evaluation.protocol import evaluate
from lightrec.models.devices import resolve_device
from lightrec.models.scoring import ModelScorer
from lightrec.settings import TrainingSettings
from lightrec.training.loop import processes
from lightrec.training.loop.batches import Batches, BatchLoader
from lightrec.training.loop.checkpoints import flaw, newest_whole, prune, seal
from lightrec.training.loop.precision import resolve_precision
from lightrec.training.loop.tasks import NextItemTask
from lightrec.training.loop.windows import Collator, Windows
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.run_folder import Run

METRIC = "ndcg@10"

NAMED_OTHERWISE = {"comet_ml": "comet", "azure_ml": "azureml"}
"""Trackers whose package check in transformers has another name."""


class SequenceTrainer(Trainer):
    """Trainer over windows of sequences, validated by full ranking on a split's validation cases."""

    control: TrainerControl
    optimizer: torch.optim.Optimizer | None
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *args: Any,
        task: NextItemTask,
        split: Split,
        windows: Windows,
        batches: Batches,
        settings: TrainingSettings,
        **kwargs: Any,
    ):
        # Trainer requires an evaluation set; evaluate() below uses the validation cases instead.
        super().__init__(*args, model=task, train_dataset=windows, eval_dataset=windows, **kwargs)
        self.task = task
        self.split = split
        self.batches = batches
        self.settings = settings
        self.validation = validation_cases(split, settings)

    def get_train_dataloader(self) -> BatchLoader:
        """Return the loader of this process's share of the batches; accelerate's loader would divide them once more."""
        return BatchLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], float]:
        """Return the parts of one step and the number of their target positions on all processes."""
        parts = list(itertools.islice(epoch_iterator, num_batches))
        return parts, processes.total([sum(self.task.ask(part) for part in parts)], device)[0]

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return a part's share of the step's mean over positions, times the processes, over which Trainer averages."""
        outputs = model(**inputs)
        loss = outputs["loss"] * (processes.count() * outputs["positions"] / num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return NDCG@10 and HR@10 on the validation cases, under the names that Trainer expects.

        Each process evaluates its share of the cases, and all return the same result.
        """
        names = (METRIC, "hr@10")
        mine = self.validation.take(np.arange(processes.rank(), len(self.validation), processes.count()))
        sums = [value * len(mine) for value in self._evaluate_cases(mine, names)]
        means = [value / len(self.validation) for value in processes.total(sums, self.args.device)]
        metrics = {f"eval_{name}": mean for name, mean in zip(names, means, strict=True)}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluate_cases(self, cases: Cases, names: tuple[str, ...]) -> list[float]:
        if not len(cases):
            return [0.0] * len(names)
        scorer = ModelScorer(self.task.best_model, self.args.device)
        found = evaluate(scorer, cases, train_popularity=self.split.popularity(), ks=(10,), bootstrap=0)
        self.task.train()
        return [found.metrics[name].value for name in names]

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Seal the checkpoint once all processes have written their part of it, and only then remove older ones."""
        super()._save_checkpoint(*args, **kwargs)
        processes.wait()
        if processes.is_main():
            seal(checkpoint_of(self.args, self.state.global_step))
            prune(Path(str(self.args.output_dir)), self.state.best_global_step)

    def _load_best_model(self) -> None:
        """Load the best weights or raise ModelError, where Trainer itself would only warn and keep the last weights."""
        best = checkpoint_of(self.args, self.state.best_global_step)
        if found := flaw(best):
            raise ModelError(
                f"{best} holds the best weights and {found}: give the same command again, and it goes on from an "
                "earlier checkpoint."
            )
        self.state.best_model_checkpoint = str(best)
        super()._load_best_model()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return AdamW in groups: no decay for norms, biases, item tables; a separate rate for the language model."""
        if self.optimizer is None:
            rate_of_layers = self.args.learning_rate
            new_rate = getattr(self.settings, "item_learning_rate", rate_of_layers)
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, parameter in self.model.named_parameters():
                if not parameter.requires_grad:
                    continue
                rate = rate_of_layers if ".language_model." in name else new_rate
                decay = self.settings.weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
                fused=self.args.device.type in ("cpu", "cuda"),
            )
        return self.optimizer


def checkpoint_of(arguments: TrainingArguments, step: int | None) -> Path:
    """Return the folder of the checkpoint that was saved after ``step`` steps."""
    return Path(str(arguments.output_dir)) / f"checkpoint-{step}"


class _Progress(TrainerCallback):
    """Callback that updates the task's progress and weight average, and reports to the user."""

    def __init__(self, task: NextItemTask, reporter: Reporter):
        self.task = task
        self.reporter = reporter

    def on_train_begin(self, args, state, control, **kwargs):
        if state.best_global_step:  # the recorded path may be wrong: the run folder may have moved
            state.best_model_checkpoint = str(checkpoint_of(args, state.best_global_step))
        self.reporter.start("Training", state.max_steps, state.global_step)

    def on_step_begin(self, args, state, control, **kwargs):
        self.task.progress = state.global_step / state.max_steps

    def on_step_end(self, args, state, control, **kwargs):
        self.task.average()
        self.reporter.advance(state.global_step)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        loss = next((row["loss"] for row in reversed(state.log_history) if "loss" in row), math.nan)
        self.reporter.note(
            f"epoch {state.epoch or 0:.0f}  loss {loss:.3f}  validation {METRIC} {metrics[f'eval_{METRIC}']:.4f}"
        )

    def on_train_end(self, args, state, control, **kwargs):
        self.reporter.stop()


def fit(
    task: NextItemTask,
    collator: Collator,
    split: Split,
    run: Run,
    settings: TrainingSettings,
    reporter: Reporter | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train ``task`` and leave it with the weights of its best validation.

    Training resumes from the newest intact checkpoint in the run folder if there is one; the outcome is the same as
    without the interruption.

    Returns:
        One row per validation (epoch, loss, ndcg@10, hr@10), and facts for the record, such as the best validation,
        the epochs trained and the seconds this process took.

    Raises:
        DataError: if there is nothing to train or validate on.
        ConfigError: if bf16 is requested and the hardware lacks it, or a tracker is unknown or not installed.
        DivergedError: if training diverges.
        ModelError: if the best weights were damaged during the run.
    """
    windows = collator.windows
    if not len(windows) or not len(split.validation):
        raise DataError(
            f"The {split.name} split leaves {len(windows)} training windows and {len(split.validation)} validation "
            "cases: the data is too small or the split unfit; see  lightrec data describe."
        )
    transformers_logging.set_verbosity_error()
    _check_trackers(settings.report_to)
    started = time.monotonic()
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    batches = Batches(windows.lengths, settings.batch_size, settings.gradient_accumulation, settings.seed)
    steps_per_epoch = batches.n_batches
    every = steps_per_epoch * settings.evaluate_every
    total = steps_per_epoch * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(run.checkpoints),
        per_device_train_batch_size=settings.batch_size // (settings.gradient_accumulation * processes.count()),
        gradient_accumulation_steps=settings.gradient_accumulation,
        max_steps=total,
        learning_rate=settings.peak_rate(steps_per_epoch),
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(settings.warmup * total),
        max_grad_norm=1.0,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{METRIC}",
        greater_is_better=True,
        logging_steps=steps_per_epoch,
        seed=settings.seed,
        use_cpu=device == "cpu",
        bf16=precision == "bf16",
        report_to=settings.report_to.split(","),
        remove_unused_columns=False,
        restore_callback_states_from_checkpoint=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    # One GPU per process; Trainer's own way to use several cannot scatter a batch's teacher rows by its windows.
    arguments._n_gpu = min(1, arguments.n_gpu)
    reporter = reporter or ProgressBar()
    callbacks: list[TrainerCallback] = [_Progress(task, reporter)]
    if settings.patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    run.begin()  # before the trainer creates its folder in the run folder
    trainer = SequenceTrainer(
        task=task,
        args=arguments,
        data_collator=collator,
        split=split,
        windows=windows,
        batches=batches,
        settings=settings,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    with processes.main_first():
        checkpoint = newest_whole(run.checkpoints, reporter.note)
    set_seed(settings.seed + processes.rank())
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    finally:
        reporter.stop()
    if trainer.state.best_model_checkpoint is None:
        raise DivergedError(f"{run.path}: no validation gave a number; train again with a lower learning rate.")
    history = _validations(trainer.state.log_history)
    best = max(history, key=lambda row: row[METRIC])
    facts = {
        "validation": best,
        "epochs_trained": history[-1]["epoch"],
        "learning_rate": arguments.learning_rate,
        "seconds": round(time.monotonic() - started, 1),
        "device": str(arguments.device),
        "precision": precision,
        "processes": processes.count(),
    }
    return history, facts


def _check_trackers(names: str) -> None:
    """Raise ConfigError for trackers that Trainer does not know or whose package is missing."""
    if names in ("none", "all"):
        return
    for name in names.split(","):
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"--report-to {names}: {name!r} is not known; give none, all, or some of {known}.")
        is_there = getattr(integration_utils, f"is_{NAMED_OTHERWISE.get(name, name)}_available", None)
        if is_there is not None and not is_there():
            raise ConfigError(f"--report-to {names}: the package of {name} is not installed; install it, or give none.")


def validation_cases(split: Split, settings: TrainingSettings) -> Cases:
    """Return the validation cases of ``split`` that a run uses, at most as many as its settings allow."""
    cases = split.validation
    if not settings.validation_cases or len(cases) <= settings.validation_cases:
        return cases
    # The same cases for every seed, because this figure is used to choose between runs.
    chosen = np.random.default_rng(0).choice(len(cases), settings.validation_cases, replace=False)
    return cases.take(np.sort(chosen))


def _validations(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per validation, each with the last training loss logged before it."""
    rows, loss = [], math.nan
    for entry in log:
        loss = entry.get("loss", loss)
        if f"eval_{METRIC}" in entry:
            rows.append(
                {
                    "epoch": round(entry["epoch"]),
                    "loss": round(loss, 5),
                    METRIC: entry[f"eval_{METRIC}"],
                    "hr@10": entry["eval_hr@10"],
                }
            )
    return rows
