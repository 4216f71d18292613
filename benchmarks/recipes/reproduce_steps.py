"""The steps of ``lightrec reproduce``: a recipe as the commands that a user would give one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightrec.benchmarks.recipes.step import Step, Words

if TYPE_CHECKING:
    from lightrec.benchmarks.recipes.recipe import Model, Recipe
    from lightrec.benchmarks.recipes.reproduction import Layout


def reproduce_steps(recipe: Recipe, layout: Layout, *, fetch: bool, device: str | None = None) -> list[Step]:
    """The commands in order; those that train go on or return at once when they are given again.

    What may be refused without an end to the rest: a baseline that is not made for so many items, a bundle that loses
    too much.

    Args:
        recipe: what to do.
        layout: where everything lies.
        fetch: whether to fetch the recipe's data set first; otherwise ``layout.data`` is there already.
        device: of training and evaluation.
    """
    on_device = () if device is None else ("--device", device)
    steps = []
    if fetch:
        words = ("data", "get", recipe.frame.data, "--out", str(layout.data))
        steps.append(Step(f"Fetch and prepare {recipe.frame.data}", words, layout.data / "dataset.json"))
    for model in recipe.teachers.values():
        steps.append(_training(model, recipe, layout, None, on_device))
    for model in recipe.students.values():
        steps += [_training(model, recipe, layout, seed, on_device) for seed in range(model.seeds)]
    steps += [_export(name, recipe, layout) for name in recipe.bundles]
    return [*steps, *_evaluations(recipe, layout, on_device)]


def settings_files(recipe: Recipe, layout: Layout) -> dict[Path, str]:
    """What the commands read with ``--config``: the settings of each model that has any of its own."""
    from lightrec.config import to_toml

    found = {layout.settings(name): _given(model, recipe) for name, model in recipe.models.items()}
    return {path: to_toml(values) for path, values in found.items() if values}


def commands(recipe: Recipe, fetch: bool, layout: Layout) -> dict[Path, str]:
    """The commands as they stand in result rows, with the recipe's names for the folders, by the file that each
    writes in ``layout``.
    """
    from lightrec.benchmarks.recipes.reproduction import Layout

    named = Layout(Path(recipe.name), Path(recipe.frame.data))
    both = (reproduce_steps(recipe, place, fetch=fetch) for place in (layout, named))
    return {_written(ours, layout): theirs.line for ours, theirs in zip(*both, strict=True)}


def _written(step: Step, layout: Layout) -> Path:
    return step.done or Path(step.words[step.words.index("--out") + 1]) / "run.json"


def _given(model: Model, recipe: Recipe) -> dict[str, Any]:
    frame = recipe.frame
    split = {"split": frame.split, "quantile": frame.quantile} if frame.split != "leave-one-out" else {}
    return split | model.given


def _training(model: Model, recipe: Recipe, layout: Layout, seed: int | None, device: Words) -> Step:
    titles = {"finetune": "Fine-tune", "train": "Train", "distill": "Distil"}
    title = f"{titles[model.command]}: {model.label}" + (f", seed {seed}" if seed else "")
    words: Words = (model.command, str(layout.data))
    for teacher in model.teachers:
        words += ("--teacher", str(layout.run(teacher)))
    if _given(model, recipe):
        words += ("--config", str(layout.settings(model.name)))
    if seed is not None:
        words += ("--seed", str(seed))
    # Given every time: a finished run returns at once, and one made with other settings is refused with a sentence.
    return Step(title, (*words, *device, "--out", str(layout.run(model.name, seed or 0))), None)


def _export(name: str, recipe: Recipe, layout: Layout) -> Step:
    bundle, out, run = recipe.bundles[name], layout.bundle(name), layout.run(name)
    words: Words = ("export", str(run), "--data", str(layout.data), "--precision", bundle.precision)
    words += ("--max-ndcg-drop", f"{bundle.max_ndcg_drop:g}", "--out", str(out))
    title = f"Export in {bundle.precision}: {recipe.students[name].label}"
    return Step(title, words, out / "manifest.json", quiet=True, source=run / "run.json", optional=True)


def _evaluations(recipe: Recipe, layout: Layout, device: Words) -> Iterator[Step]:
    frame = recipe.frame
    split = ("--split", frame.split) if frame.split != "leave-one-out" else ()
    quantile = ("--quantile", f"{frame.quantile:g}") if split else ()
    for name in frame.baselines:
        file = layout.evaluation(Path(name))
        words = ("evaluate", name, str(layout.data), "--tune", *split, *quantile, "--out", str(file))
        yield Step(f"Tune and evaluate: {name}", words, file, quiet=True, optional=True)
    for name, model in recipe.models.items():
        for seed in range(model.seeds):
            run = layout.run(name, seed)
            yield from _evaluation(f"{model.label}, seed {seed}", run, run / "run.json", layout, device)
    for name in recipe.bundles:
        bundle = layout.bundle(name)
        title = f"the bundle of {recipe.students[name].label}"
        yield from _evaluation(title, bundle, bundle / "manifest.json", layout, device, optional=True)


def _evaluation(
    title: str, model: Path, source: Path, layout: Layout, device: Words, optional: bool = False
) -> Iterator[Step]:
    for on in ("test", "validation"):
        file = layout.evaluation(model, on)
        words = ("evaluate", str(model), str(layout.data), "--on", on, *device, "--out", str(file))
        yield Step(f"Evaluate on {on}: {title}", words, file, quiet=True, source=source, optional=optional)
