"""Recipes and ``lightrec reproduce``: what is refused, the commands, and a miniature from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lightrec.benchmarks.project.readme_tables import fill_tables
from lightrec.benchmarks.recipes.recipe import make_recipe, open_recipe, packaged_recipes
from lightrec.benchmarks.recipes.reproduce_steps import commands, reproduce_steps, settings_files
from lightrec.benchmarks.recipes.reproduction import Layout
from lightrec.benchmarks.rows import read_rows
from lightrec.errors import ConfigError

NAMES = ["beauty", "default", "ml-100k", "ml-1m", "ml-latest-small", "teachers", "temporal", "video-games"]

MINIATURE = """
data = "tiny"
seeds = 2
baselines = ["popularity", "item-knn"]

[teachers.language-model]
label = "language model"
command = "finetune"
base = {base}
max_length = 10
epochs = 1

[teachers.wide]
command = "train"
hidden_size = 16
max_length = 10
epochs = 1

[students.sasrec-ce]
label = "SASRec-CE"
command = "train"
hidden_size = 8
max_length = 10
epochs = 1

[students.distilled]
command = "distill"
teachers = ["language-model", "wide"]
init_items = "none"
hidden_size = 8
max_length = 10
epochs = 1

[comparisons]
distilled = ["sasrec-ce", "teachers", "wide", "item-knn"]
wide = ["language-model"]

[bundles.distilled]
max_ndcg_drop = 1.0
"""


def values(**changes):
    """A small recipe's content."""
    return {
        "data": "tiny",
        "teachers": {"text": {"command": "finetune"}, "ids": {"command": "finetune", "item_input": "ids"}},
        "students": {
            "alone": {"command": "train", "hidden_size": 32},
            "distilled": {"command": "distill", "teachers": ["text", "ids"], "temperature": 4},
        },
        "comparisons": {"distilled": ["alone", "teachers"]},
        "bundles": {"distilled": {}},
        **changes,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_package_holds_recipes_without_mistakes(name):
    from command_lines import parsed

    recipe = open_recipe(name)
    # What is compared under another split, or to choose a teacher, is not what one deploys.
    assert recipe.comparisons and (recipe.bundles or name in ("teachers", "temporal"))
    for step in reproduce_steps(recipe, Layout(Path("out"), Path("data")), fetch=name == "ml-1m"):
        parsed(step.line)


def test_the_help_names_the_recipes():
    import tomllib

    from lightrec.cli.app import app

    assert packaged_recipes() == NAMES
    text = " ".join(CliRunner().invoke(app, ["reproduce", "--help"], env={"COLUMNS": "200"}).output.split())
    assert all(name in text for name in NAMES)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["lightrec.benchmarks.recipes"] == ["*.toml"]


def test_all_mistakes_of_a_recipe_are_named_at_once():
    wrong = values(
        seed=3,
        baselines=["eaze"],
        teachers={"text": {"command": "finetune", "item_inputs": "ids"}, "popularity": {"command": "train"}},
        students={
            "alone": {"command": "train", "hidden_size": "wide", "split": "temporal", "seed": 1, "seeds": "2"},
            "distilled": {"command": "distill", "teachers": ["txt"]},
            "second": {"command": "finetune"},
        },
    )
    with pytest.raises(ConfigError) as refused:
        make_recipe("mine", wrong)
    for part in (
        "In the recipe mine: ",
        "unknown key 'seed' (did you mean 'seeds'?)",
        "[teachers.text] unknown key 'item_inputs' (did you mean 'item_input'?)",
        "[teachers.popularity]: a name",
        "[students.alone] hidden_size = 'wide' must be of type int",
        "[students.alone] split is set for the whole recipe",
        "[students.alone] seeds = '2' must be a whole number of at least 1",
        "[students.alone] seed: students are trained with every seed",
        "[students.distilled] teachers: 'txt' is not among text, popularity",
        "[students.second] command must be one of train, distill",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baselines": ["eaze"]}, "baselines: 'eaze' is none"),
        ({"comparisons": {"distilled": ["nobody"]}}, r"\[comparisons\] distilled: 'nobody' is no model"),
        ({"comparisons": {"alone": ["teachers"]}}, "alone: 'teachers' is no model"),
        ({"comparisons": {"nobody": ["alone"]}}, "nobody is no teacher or student"),
        ({"bundles": {"text": {"precision": "int2"}}}, r"precision = 'int2' .*; \[bundles.text\] is no student"),
        ({"seeds": 0}, "seeds = 0 must be at least 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    make_recipe("mine", values())
    with pytest.raises(ConfigError, match=message):
        make_recipe("mine", values(**changes))


def test_a_student_may_have_fewer_seeds_than_the_others():
    given = values(seeds=2)
    given["students"]["alone"]["seeds"] = 1
    recipe = make_recipe("mine", given)
    assert {name: model.seeds for name, model in recipe.models.items()} == {
        "text": 1,
        "ids": 1,
        "alone": 1,
        "distilled": 2,
    }
    steps = reproduce_steps(recipe, Layout(Path("out"), Path("data")), fetch=False)
    trained = [step.line for step in steps if " --seed " in step.line]
    assert [line.split("--out ")[1] for line in trained] == [
        "out/runs/alone",
        "out/runs/distilled",
        "out/runs/distilled-seed1",
    ]
    given["teachers"]["text"]["seeds"] = 2
    with pytest.raises(ConfigError, match=r"\[teachers.text\] seeds: a teacher is trained once"):
        make_recipe("mine", given)


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="No recipe is called 'beauti': choose one of beauty, default"):
        open_recipe("beauti")
    with pytest.raises(ConfigError, match=r"no\.toml does not exist"):
        open_recipe("no.toml")


def test_a_recipe_becomes_commands():
    recipe = make_recipe("mine", values(seeds=2, split="temporal"))
    layout = Layout(Path("out"), Path("data"))
    lines = [step.line for step in reproduce_steps(recipe, layout, fetch=False)]
    assert lines[1] == "lightrec finetune data --config out/settings/ids.toml --out out/runs/ids"
    assert lines[5] == (
        "lightrec distill data --teacher out/runs/text --teacher out/runs/ids --config out/settings/distilled.toml "
        "--seed 1 --out out/runs/distilled-seed1"
    )
    assert settings_files(recipe, layout)[layout.settings("distilled")] == (
        'split = "temporal"\nquantile = 0.9\ntemperature = 4\n'
    )
    kept = commands(recipe, False, Layout(Path("/private/out"), Path("/private/data")))
    assert kept[Path("/private/out/runs/ids/run.json")] == (
        "lightrec finetune tiny --config mine/settings/ids.toml --out mine/runs/ids"
    )


def test_a_dry_run_prints_a_script_and_writes_nothing(tmp_path, monkeypatch):
    from command_lines import parsed

    from lightrec.cli.app import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["reproduce", "ml-100k", "--dry-run", "--seeds", "1"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("lightrec ")]
    assert lines[0] == "lightrec data get ml-100k --out reproduced/ml-100k/data"
    assert sum(parsed(line).get("seed") == 0 and " distill " in line for line in lines) == 1
    assert list(tmp_path.iterdir()) == []


def test_data_that_cannot_be_fetched_must_be_given():
    from lightrec.cli.app import app

    done = CliRunner().invoke(app, ["reproduce", "beauty", "--dry-run"])
    assert isinstance(done.exception, ConfigError)
    assert "prepare it" in str(done.exception)


def test_a_baseline_or_bundle_that_is_refused_does_not_end_the_rest(tiny_dataset, tmp_path, monkeypatch):
    from lightrec.baselines import slit
    from lightrec.cli.app import app

    monkeypatch.setattr(slit, "MOST_ITEMS", 3)
    monkeypatch.setattr("lightrec.export.parity_gate.Parity.ndcg_drop", property(lambda parity: 0.5))
    student = 'command = "train"\nhidden_size = 8\nmax_length = 10\nepochs = 1\n'
    (tmp_path / "mine.toml").write_text(
        f'data = "tiny"\nseeds = 1\nbaselines = ["slit", "popularity"]\n[students.sasrec-ce]\n{student}'
        '[comparisons]\nsasrec-ce = ["slit", "popularity"]\n[bundles.sasrec-ce]\n'
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["reproduce", "mine.toml", "--data", str(tiny_dataset.path), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "Left out: Tune and evaluate: slit. SLIT solves for a matrix of items by items" in said
    assert "Left out: Export in int8: sasrec-ce. " in said and "50.00% lost, 1.00% allowed" in said
    rows = read_rows(tmp_path / "reproduced" / "mine" / "results.jsonl")
    assert [(row["kind"], row.get("label", row.get("b"))) for row in rows] == [
        ("quality", "popularity"),
        ("quality", "sasrec-ce"),
        ("comparison", "popularity"),
    ]
    assert "deployed_bytes" not in rows[1]

    # What trains is needed: there, an error ends the whole.
    (tmp_path / "mine.toml").write_text(f'data = "tiny"\n[students.sasrec-ce]\n{student}num_heads = 3\n')
    command = ["reproduce", "mine.toml", "--data", str(tiny_dataset.path), "--out", "other"]
    assert isinstance(CliRunner().invoke(app, command).exception, ConfigError)


@pytest.mark.slow
def test_a_miniature_recipe_runs_to_its_end_and_again(tiny_dataset, tmp_path):
    from mini_language_model import save_bert

    base = save_bert(tmp_path / "tiny-language-model")
    (tmp_path / "mini.toml").write_text(MINIATURE.replace("{base}", json.dumps(str(base))))
    command = [sys.executable, "-m", "lightrec", "reproduce", "mini.toml", "--data", str(tiny_dataset.path)]
    first = subprocess.run([*command, "--device", "cpu"], cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    results = tmp_path / "reproduced" / "mini" / "results.jsonl"
    assert str(tmp_path) not in results.read_text()
    rows = read_rows(results)
    quality = [row for row in rows if row["kind"] == "quality"]
    assert [(row["label"], row["seed"]) for row in quality] == [
        ("popularity", 0),
        ("item-knn", 0),
        ("language model", 0),
        ("wide", 0),
        ("language model + wide", 0),
        ("SASRec-CE", 0),
        ("SASRec-CE", 1),
        ("distilled", 0),
        ("distilled", 1),
        ("distilled, int8 bundle", 0),
    ]
    assert all(row["validation"]["ndcg@10"] >= 0 and row["data_checksum"] == tiny_dataset.checksum for row in quality)
    student, bundle = quality[7], quality[9]
    assert (student["hidden_size"], student["epochs_trained"]) == (8, 1)
    assert student["settings"]["teachers"] == ["language-model", "wide"]
    assert student["deployed_bytes"] == bundle["deployed_bytes"] > 0
    assert student["command"].startswith("lightrec distill tiny --teacher mini/runs/language-model ")
    assert quality[2]["hidden_size"] == 32
    assert quality[2]["settings"]["base"] == "tiny-language-model"
    compared = [row for row in rows if row["kind"] == "comparison"]
    assert [(row["b"], row["comparison"]["seeds"]) for row in compared] == [
        ("SASRec-CE", [2, 2]),
        ("language model + wide", [2, 1]),
        ("wide", [2, 1]),
        ("item-knn", [2, 1]),
        ("language model", [1, 1]),
    ]
    for row in compared:  # the same figures as lightrec evaluate gave
        values = [one["metrics"]["ndcg@10"]["value"] for one in quality if one["label"] == row["b"]]
        assert row["comparison"]["b"] == pytest.approx(sum(values) / len(values))
    (tmp_path / "results").mkdir()
    results.rename(tmp_path / "results" / "mini.jsonl")
    marks = "<!-- table: mini -->\n<!-- /table -->\n<!-- slices: mini -->\n<!-- /slices -->\n"
    assert "| distilled, int8 bundle |" in fill_tables(marks, tmp_path / "results")

    again = subprocess.run([*command, "--device", "cpu"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0
    assert again.stdout.count("done before") == 1 + 2 + 2 * 7  # the export, the baselines, seven evaluated twice
    assert read_rows(results) == rows
