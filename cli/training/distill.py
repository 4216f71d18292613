"""``lightrec distill``: stage 2, teachers become a student."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from lightrec.cli.options import ConfigOption, DeviceOption, JsonOption, OutOption
from lightrec.cli.training.shared_options import (
    BaseOption,
    BatchSizeOption,
    DataArgument,
    DropoutOption,
    EpochsOption,
    FromStudentOption,
    GradientAccumulationOption,
    HiddenSizeOption,
    LearningRateOption,
    MaxLengthOption,
    NegativesOption,
    NumHeadsOption,
    NumLayersOption,
    PatienceOption,
    PrecisionOption,
    QuantileOption,
    RecipeOption,
    ReportToOption,
    SeedOption,
    SplitOption,
    StudentOption,
    make_settings,
    option,
    print_run,
)


def distill(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    teachers: Annotated[
        list[str] | None,
        typer.Option("--teacher", metavar="RUN", help="Run folder of a teacher; repeat it for several."),
    ] = None,
    teacher_scores: Annotated[
        str | None,
        typer.Option(
            "--teacher-scores", metavar="FILE", help="Scores of any other system: user, position, item, score."
        ),
    ] = None,
    teacher_weights: Annotated[
        str | None,
        option("--teacher-weights", "One number a teacher (0.6,0.4), the file's last, or auto.", "auto"),
    ] = None,
    student: StudentOption = None,
    from_run: FromStudentOption = None,
    recipe: RecipeOption = None,
    temperature: Annotated[float | None, option("--temperature", "Softens both distributions.", 2.0)] = None,
    distill_weight: Annotated[
        float | None,
        option("--distill-weight", "Share of the teachers in the loss, 0 to 1.", 0.5),
    ] = None,
    anneal: Annotated[
        float | None,
        option("--anneal", "Last share of training over which that falls to 0.", 0.3),
    ] = None,
    instance_weighting: Annotated[
        str | None,
        option("--instance-weighting", "none or confidence (of the teacher in the true item).", "none"),
    ] = None,
    init_items: Annotated[
        str | None,
        option("--init-items", "What the item table starts from: teacher, text or none (random).", "teacher"),
    ] = None,
    base: BaseOption = None,
    mask_patterns: Annotated[
        int | None,
        option("--mask-patterns", "Masked student: fixed patterns of hidden items per window.", 8),
    ] = None,
    hidden_size: HiddenSizeOption = None,
    neighbours: Annotated[
        int | None,
        option("--neighbours", "Items that each item votes for beside the layers, 3 bytes each; 0 for none.", "8"),
    ] = None,
    num_layers: NumLayersOption = None,
    num_heads: NumHeadsOption = None,
    max_length: MaxLengthOption = None,
    dropout: DropoutOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    gradient_accumulation: GradientAccumulationOption = None,
    precision: PrecisionOption = None,
    learning_rate: LearningRateOption = None,
    negatives: NegativesOption = None,
    patience: PatienceOption = None,
    split: SplitOption = None,
    quantile: QuantileOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    report_to: ReportToOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Distil one or several teachers into a small student: stage 2.

    The student learns the teachers' temperature-softened distribution over the whole catalogue and the true items
    together, at every position. Several teachers speak with one voice, weighed by how well they do on validation.
    What they say is computed once and kept in the first one's folder, so that distilling again needs no teacher.
    Give the same command again after an interruption and it goes on.

    A teacher may be any other system: --teacher-scores takes a file (Parquet, CSV, JSON lines) with the columns user,
    position, item and score, or rank in its place. Position 3 is the user's fourth event: what the system would
    have shown after the first three. Positions that are left out are learnt from the true item alone.

    **Examples**

    ```
    lightrec distill prepared/ml-100k --teacher runs/teacher --student sasrec --out runs/student
    lightrec distill prepared/ml-100k --teacher runs/text --teacher runs/ids --temperature 4 --out runs/two
    lightrec distill prepared/ml-100k --teacher-scores ranked.parquet --out runs/from-scores
    lightrec distill prepared/today --teacher runs/teacher --from runs/yesterday --epochs 5 --out runs/today
    lightrec distill prepared/ml-100k --teacher runs/paper-teacher --recipe paper --out runs/paper
    ```
    """
    from lightrec.training.settings import DistillSettings
    from lightrec.training.train_student import distill as run_distill

    settings = make_settings(DistillSettings, context)
    record = run_distill(data, out, settings)
    print_run(record, out, json, shlex.join(["lightrec", "export", str(out), "--out", "bundle"]))
