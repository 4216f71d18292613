"""``lightrec evaluate``: how well does a model, a bundle or a baseline rank what users chose next?"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lightrec.cli.options import DeviceOption, JsonOption, console, print_json, progress_bar

if TYPE_CHECKING:
    import numpy as np
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from lightrec.baselines.baselines import Baseline
    from lightrec.data.dataset import Dataset
    from lightrec.data.splits import Split
    from lightrec.evaluation.allowed_data import Provenance
    from lightrec.evaluation.comparison import Comparison
    from lightrec.evaluation.protocol import Evaluation, Scorer, TopKRanker


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Run folder, bundle folder, or one of popularity, recent-popularity, item-knn, ease, slit.",
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Prepared data set (lightrec data prepare).")],
    against: Annotated[
        str | None, typer.Option(help="Compare with this run, bundle or baseline, case by case.")
    ] = None,
    on: Annotated[Literal["test", "validation"], typer.Option(help="Which cases of the split to evaluate.")] = "test",
    split: Annotated[
        Literal["leave-one-out", "temporal"] | None,
        typer.Option(help="How the data is divided.  [default: the run's split, or leave-one-out]"),
    ] = None,
    quantile: Annotated[
        float | None, typer.Option(help="Where the temporal split cuts the time line.  [default: 0.9]")
    ] = None,
    targets: Annotated[
        Literal["last", "successive"], typer.Option(help="Predict each user's last test event, or every one.")
    ] = "last",
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose a baseline's parameters on validation, among at most 15 settings.")
    ] = False,
    cold_items: Annotated[
        bool,
        typer.Option(
            "--cold-items",
            help="Predict the items that the run held out of training (--hold-out-items), from their texts alone.",
        ),
    ] = False,
    keep_seen: Annotated[bool, typer.Option("--keep-seen", help="Rank the items of the history too.")] = False,
    k: Annotated[list[int] | None, typer.Option("--k", help="List length; repeat it.  [default: 1, 5, 10, 20]")] = None,
    seed: Annotated[int, typer.Option(help="Makes the bootstrap intervals repeatable.")] = 0,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file to write the results to.")] = None,
) -> None:
    """Rank the whole catalogue for every user and report HR, NDCG, MRR and coverage with 95 % intervals.

    Seen items are left out, equal scores count against the model, and a target that was seen before is a miss.
    If one of the models is a bundle, every model ranks 100 items, and equal scores are ordered by lowest index.

    **Examples**

    ```
    lightrec evaluate runs/student prepared/ml-100k
    lightrec evaluate item-knn prepared/ml-100k
    lightrec evaluate ease prepared/ml-100k --tune
    lightrec evaluate runs/student prepared/ml-100k --against runs/baseline
    lightrec evaluate bundles/student prepared/ml-100k --against runs/student --json
    lightrec evaluate popularity prepared/ml-100k --split temporal --targets successive --k 10 --k 100
    lightrec evaluate runs/held-out prepared/ml-100k --cold-items --against popularity
    ```
    """
    from lightrec.data.dataset import Dataset
    from lightrec.errors import ConfigError
    from lightrec.evaluation.allowed_data import choose_split, describe_split
    from lightrec.evaluation.cold_items import ask_for, by_chance, held_out
    from lightrec.files.atomic import write_json

    if out is not None and out.is_dir():
        raise ConfigError(f"--out is the folder {out}: name a JSON file, such as {out / 'evaluation.json'}.")
    if out is not None and out.is_file() and not _is_evaluation(out):
        raise ConfigError(f"--out {out} exists and is not an evaluation: name another file.")
    dataset = Dataset.open(data)
    sources = [_provenance(name) for name in (model, against) if name is not None]
    chosen = choose_split(sources, split, quantile)
    divided = _split(dataset, *chosen, on, targets)
    held = held_out(sources, dataset, cold_items)
    if held is not None:
        divided = ask_for(divided, held)
    tried = _tune(sources, dataset, divided) if tune else {}
    rankers = [
        tried[source.name][0] if source.name in tried else _open(source, dataset, divided, device, held)
        for source in sources
    ]
    evaluations = _evaluate(sources, rankers, divided, on, keep_seen, tuple(k or (1, 5, 10, 20)), seed)
    comparisons = _compare(evaluations, seed)
    results = {
        "dataset": {"name": dataset.name, "checksum": dataset.checksum},
        "split": {"name": chosen[0], "quantile": chosen[1] if chosen[0] == "temporal" else None},
        "on": on,
        "targets": targets,
        "model": model,
        **_fitting(rankers[0], tried.get(model)),
        **evaluations[0].to_json(),
    }
    if held is not None:
        results["cold_items"] = {"items": int(held.sum()), "by_chance": by_chance(evaluations[0], dataset.n_items)}
    if against is not None:
        results["against"] = {
            "model": against,
            **_fitting(rankers[1], tried.get(against)),
            **evaluations[1].to_json(),
        }
        results["comparison"] = {comparison.metric: comparison.to_json() for comparison in comparisons}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, results)
    if as_json:
        print_json(results)
    else:
        title = f"{dataset.name}, {describe_split(*chosen)}, {len(evaluations[0].cases):,} {on} cases"
        _print(title, [source.name for source in sources], evaluations, comparisons)
        if held is not None:
            chance = results["cold_items"]["by_chance"]
            console.print(
                f"Asked for the {held.sum():,} items held out of training, ranked among all; by chance: "
                + ", ".join(f"{_label(name)} {value:.5f}" for name, value in chance.items())
            )
        for name, (baseline, settings) in tried.items():
            chosen_values = ", ".join(f"{key} {value:g}" for key, value in baseline.parameters.items())
            console.print(f"{name}: {chosen_values or 'no parameters'}; best of {len(settings)} on validation.")


def _provenance(name: str) -> Provenance:
    from lightrec.baselines.baselines import BASELINES
    from lightrec.bundle import MANIFEST, read_manifest
    from lightrec.errors import ModelError
    from lightrec.evaluation.allowed_data import Provenance

    if name in BASELINES:
        return Provenance(name)
    if (Path(name) / MANIFEST).is_file():
        return Provenance(name, read_manifest(name).training)
    if not Path(name).is_dir():
        raise ModelError(
            f"{name} is no folder and no baseline: give a run, a bundle, or one of {', '.join(BASELINES)}."
        )
    from lightrec.models.load import read_run

    return Provenance(name, read_run(name))


def _split(dataset: Dataset, name: str, quantile: float, on: str, targets: str) -> Split:
    from lightrec.data.splits import make_split, temporal
    from lightrec.errors import ConfigError

    if targets == "last":
        return make_split(dataset, name, quantile)  # type: ignore[arg-type]
    if name != "temporal" or on != "test":
        raise ConfigError("--targets successive asks for every test event of the temporal split: add --split temporal.")
    return temporal(dataset, quantile, successive=True)


def _open(
    source: Provenance, dataset: Dataset, split: Split, device: str | None, held: np.ndarray | None
) -> Scorer | TopKRanker:
    from lightrec.baselines.baselines import BASELINES, make_baseline
    from lightrec.bundle import MANIFEST
    from lightrec.evaluation.allowed_data import check_data

    if source.name in BASELINES:
        return make_baseline(source.name, dataset, split)
    if (Path(source.name) / MANIFEST).is_file():
        from lightrec.runtime.recommender import Recommender

        recommender = Recommender.load(source.name)
        check_data(source, dataset, recommender.item_ids)
        return recommender
    from lightrec.models.devices import resolve_device
    from lightrec.models.load import load_model
    from lightrec.models.scoring import ModelScorer

    check_data(source, dataset)
    model, _ = load_model(source.name)
    if held is not None:
        from lightrec.training.items.text_projection import give_vectors

        give_vectors(model, source.name, dataset, held)
    return ModelScorer(model, resolve_device(device))


def _tune(sources: list[Provenance], dataset: Dataset, split: Split) -> dict[str, tuple[Baseline, list[dict]]]:
    """Each baseline among ``sources``, tuned on the validation cases, with the settings that were tried."""
    from lightrec.baselines.baselines import BASELINES
    from lightrec.baselines.tune import tune_baseline
    from lightrec.errors import ConfigError

    names = dict.fromkeys(source.name for source in sources if source.name in BASELINES)
    if not names:
        raise ConfigError("--tune chooses a baseline's parameters, and no baseline is named: use  lightrec tune.")
    with progress_bar() as progress:
        return {
            name: tune_baseline(
                name, dataset, split, progress=partial(_advance, progress, progress.add_task(f"Tuning {name}"))
            )
            for name in names
        }


def _fitting(ranker: Scorer | TopKRanker, tuned: tuple[Baseline, list[dict]] | None) -> dict[str, Any]:
    """What a baseline was fitted with and what else was tried, for JSON; nothing for a run or a bundle."""
    if tuned is not None:
        return {"parameters": tuned[0].parameters, "tried": tuned[1]}
    parameters = getattr(ranker, "parameters", None)
    return {} if parameters is None else {"parameters": parameters}


def _evaluate(
    sources: list[Provenance],
    rankers: list[Scorer | TopKRanker],
    split: Split,
    on: str,
    keep_seen: bool,
    ks: tuple[int, ...],
    seed: int,
) -> list[Evaluation]:
    from lightrec.evaluation.protocol import evaluate, shared_rules

    ties, rank_limit = shared_rules(rankers)
    evaluations = []
    with progress_bar() as progress:
        for source, ranker in zip(sources, rankers, strict=True):
            task = progress.add_task(f"Ranking with {source.name}", total=None)
            evaluations.append(
                evaluate(
                    ranker,
                    split.test if on == "test" else split.validation,
                    train_popularity=split.popularity(),
                    filter_seen=not keep_seen,
                    ks=ks,
                    ties=ties,
                    rank_limit=rank_limit,
                    seed=seed,
                    progress=partial(_advance, progress, task),
                )
            )
    return evaluations


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _main_k(evaluation: Evaluation) -> int:
    """The list length that the summaries show."""
    return 10 if 10 in evaluation.ks else evaluation.ks[-1]


def _compare(evaluations: list[Evaluation], seed: int) -> list[Comparison]:
    from lightrec.evaluation.comparison import paired_comparison

    if len(evaluations) == 1:
        return []
    ours, theirs = evaluations
    k = _main_k(ours)
    mrr = next(name for name in ours.metrics if name.startswith("mrr"))
    return [paired_comparison(ours, theirs, metric, seed=seed) for metric in (f"hr@{k}", f"ndcg@{k}", mrr)]


def _print(title: str, names: list[str], evaluations: list[Evaluation], comparisons: list[Comparison]) -> None:
    short = [Path(name).name for name in names]
    names = short if len(set(short)) == len(names) else names
    console.print(title, style="bold")
    console.print(_metrics_table(names, evaluations))
    if comparisons:
        console.print(_comparison_table(names, comparisons))
    console.print(_slices_table(names, evaluations))
    first = evaluations[0]
    if first.filter_seen:
        hidden = int(first.hidden.sum())
        console.print(f"Targets hidden by the seen filter (misses): {hidden:,} ({hidden / len(first.cases):.1%}).")
    console.print(f"Equal scores: {first.ties}. Intervals: 95 %, bootstrap over users.")


def _metrics_table(names: list[str], evaluations: list[Evaluation]) -> Table:
    from rich.table import Table

    table = Table("metric", title="Quality")
    for name in names:
        table.add_column(name, justify="right")
        table.add_column("95 % interval", justify="right", style="dim", no_wrap=True)
    for metric in evaluations[0].metrics:
        row = []
        for interval in (evaluation.metrics[metric] for evaluation in evaluations):
            row += [
                f"{interval.value:.4f}",
                "" if interval.low is None else f"{interval.low:.4f} - {interval.high:.4f}",
            ]
        table.add_row(_label(metric), *row)
    return table


def _comparison_table(names: list[str], comparisons: list[Comparison]) -> Table:
    from rich.table import Table

    table = Table("metric", title=f"{names[0]} minus {names[1]}, paired over users")
    for title in ("difference", "95 % interval", "relative", "p"):
        table.add_column(title, justify="right")
    for comparison in comparisons:
        difference, relative = comparison.difference, comparison.relative
        table.add_row(
            _label(comparison.metric),
            f"{difference.value:+.4f}",
            f"{difference.low:+.4f} to {difference.high:+.4f}",
            "" if relative is None else f"{relative.value:+.1%}",
            "<0.001" if comparison.p_value < 0.001 else f"{comparison.p_value:.3f}",
        )
    return table


def _slices_table(names: list[str], evaluations: list[Evaluation]) -> Table:
    from rich.table import Table

    k = _main_k(evaluations[0])
    table = Table("slice", title=f"NDCG@{k} by target popularity and history length")
    table.add_column("cases", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for kind, parts in evaluations[0].slices.items():
        for part, slice_ in parts.items():
            values = [f"{evaluation.slices[kind][part].metrics[f'ndcg@{k}'].value:.4f}" for evaluation in evaluations]
            table.add_row(f"{kind}: {part}", f"{slice_.cases:,}", *values)
        table.add_section()
    return table


def _label(metric: str) -> str:
    return metric.capitalize() if metric.startswith("coverage") else metric.upper()


def _is_evaluation(file: Path) -> bool:
    """Whether a file is empty or holds an earlier evaluation, which a new one may replace."""
    try:
        found = json.loads(file.read_text(encoding="utf-8") or '{"cases": 0, "targets": ""}')
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"cases", "targets"} <= set(found)
