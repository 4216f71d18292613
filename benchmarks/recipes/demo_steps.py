"""The steps of ``lightrec demo``: the commands a user would give one by one, and the file each leaves when done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lightrec.benchmarks.recipes.step import Step, Words


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long each model may train: flags of its command."""

    student: Words
    """The baseline and the distilled students alike: equal budgets."""
    teacher: Words
    paper_teacher: Words
    paper_student: Words


QUICK = Effort(
    student=("--epochs", "12", "--patience", "5"),
    teacher=("--epochs", "2"),
    paper_teacher=("--epochs", "1"),
    paper_student=("--epochs", "8", "--patience", "5", "--mask-patterns", "2"),
)
"""Minutes on two cores: enough to see every part work, too little for the best figures."""

THOROUGH = Effort(
    student=("--epochs", "20", "--patience", "5"),
    teacher=("--epochs", "5"),
    paper_teacher=("--epochs", "6"),
    paper_student=("--epochs", "40", "--patience", "10", "--mask-patterns", "4"),
)
"""Half an hour on two cores, and some minutes more for each further seed."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the demo keeps what."""

    out: Path
    """The demo's folder."""
    data: Path
    """The prepared data set."""

    def run(self, name: str, seed: int = 0) -> Path:
        """A run folder; those of further seeds carry their number."""
        return self.out / (name if seed == 0 else f"{name}-seed{seed}")

    def evaluation(self, name: str, seed: int = 0) -> Path:
        """The JSON file of an evaluation."""
        return self.out / "evaluations" / f"{self.run(name, seed).name}.json"

    @property
    def bundle(self) -> Path:
        """The bundle to ship: int8 for ONNX Runtime."""
        return self.out / "bundle"

    @property
    def exact_bundle(self) -> Path:
        """The fp32 bundle for both runtimes, to compare with."""
        return self.out / "bundle-fp32"

    @property
    def speed(self) -> Path:
        """Rows of lightrec bench."""
        return self.out / "speed.jsonl"

    @property
    def quality(self) -> Path:
        """Rows of lightrec evaluate, with labels."""
        return self.out / "quality.jsonl"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.out / "report.html"


LABELS = {
    "popularity": "popularity",
    "item-knn": "item-kNN",
    "sasrec": "SASRec-CE, no teacher",
    "paper-teacher": "teacher, paper recipe",
    "teacher": "teacher",
    "paper-student": "distilled, paper recipe",
    "student": "distilled",
    "bundle": "distilled, int8 bundle",
}
"""The rows of the quality table, by the name of what is evaluated, in order."""


def demo_steps(layout: Layout, effort: Effort, seeds: int, fetch: bool) -> list[Step]:
    """The commands of the demo in order.

    Args:
        layout: where everything lies.
        effort: how long to train.
        seeds: seeds of the baseline and of the distilled student, which are then compared over all of them.
        fetch: whether to fetch MovieLens-100K first; otherwise ``layout.data`` is there already.
    """
    data, teacher, paper_teacher = str(layout.data), layout.run("teacher"), layout.run("paper-teacher")
    words: Words
    steps = []
    if fetch:
        words = ("data", "get", "ml-100k", "--out", data)
        steps.append(Step("Fetch and prepare MovieLens-100K", words, layout.data / "dataset.json"))
    steps.append(_run(layout, "Fine-tune a language model: the teacher", "finetune", "teacher", effort.teacher))
    for seed in range(seeds):
        steps.append(
            _run(layout, "Train a small model without it: the baseline", "train", "sasrec", effort.student, seed)
        )
        words = ("--teacher", str(teacher), *effort.student)
        steps.append(_run(layout, "Distil the teacher into the student", "distill", "student", words, seed))
    paper = ("--recipe", "paper")
    steps += [
        _run(layout, "The paper's teacher", "finetune", "paper-teacher", (*paper, *effort.paper_teacher)),
        _run(
            layout,
            "The paper's student",
            "distill",
            "paper-student",
            ("--teacher", str(paper_teacher), *paper, *effort.paper_student),
        ),
        Step(
            "Export the student, exactly",
            (
                *("export", str(layout.run("student")), "--format", "onnx", "--format", "openvino"),
                *("--precision", "fp32", "--out", str(layout.exact_bundle)),
            ),
            layout.exact_bundle / "manifest.json",
            quiet=True,
        ),
        Step(
            "Export the student in 8 bits: the bundle to ship",
            ("export", str(layout.run("student")), "--precision", "int8", "--out", str(layout.bundle)),
            layout.bundle / "manifest.json",
        ),
        Step("Check that the bundle answers as recorded", ("verify", str(layout.bundle)), None, quiet=True),
    ]
    for name in LABELS:
        for seed in range(seeds if name in ("sasrec", "student") else 1):
            steps.append(_evaluation(layout, name, seed))
    for bundle in (layout.exact_bundle, layout.bundle):
        words = ("bench", str(bundle), "--data", data, "--run", str(layout.run("student")))
        words += ("--teacher", str(teacher), "--seconds", "3", "--out", str(layout.speed))
        steps.append(Step("Time it beside torch", words, layout.out / f"{bundle.name}.timed", quiet=True))
    return steps


def _run(layout: Layout, title: str, command: str, name: str, words: Words, seed: int = 0) -> Step:
    out = layout.run(name, seed)
    seeded = ("--seed", str(seed)) if seed else ()
    # Given every time: a finished run returns at once, and one made with other settings is refused with a sentence.
    return Step(title, (command, str(layout.data), *words, *seeded, "--out", str(out)), None)


def _evaluation(layout: Layout, name: str, seed: int) -> Step:
    model = name if name in ("popularity", "item-knn") else str(layout.run(name, seed))
    against = ("--against", str(layout.run("sasrec"))) if name == "student" and seed == 0 else ()
    file = layout.evaluation(name, seed)
    words = ("evaluate", model, str(layout.data), *against, "--out", str(file))
    return Step(f"Evaluate: {LABELS[name]}", words, file, quiet=True)
