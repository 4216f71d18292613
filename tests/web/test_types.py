"""lightrec.d.ts, as a program in TypeScript meets it."""

import re
import shutil
import subprocess

import pytest

from lightrec.export.golden_cases import TOLERANCE
from lightrec.web import FOLDER

OPTIONS = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "esnext"]
OPTIONS += ["--moduleResolution", "bundler"]
CONSUMER = """
import { LightrecError, Recommender, Session } from "./lightrec.js";
import type { LoadOptions, Precision, Recommendation, Recommendations } from "./lightrec.js";

const options: LoadOptions = { precision: "int4", block: ["b", 7] };
const recommender: Recommender = await Recommender.load(new URL("https://example.org/bundle"), options);
await Recommender.load("bundle", { precision: "int8-static", ort: {} });
await Recommender.load("bundle", { onnxruntimeWeb: new URL("https://example.org/onnxruntime-web") });
const content: string | undefined = recommender.manifest.files["items.json.gz"]?.content_sha256;
const held: Precision[] = recommender.manifest.models.map((model) => model.precision);
await Recommender.load("bundle", { precision: held[0] });

const asked = { k: 5, exclude: new Set(["a"]), candidates: null, boost: { 172: 0.7, "174": Math.LN2 } };
const answer: Recommendations = await recommender.recommend(["50", 181], asked);
const line = ({ id, title, score }: Recommendation): string => `${title ?? id} ${score?.toFixed(1)}`;
const lines: string[] = answer.items.map(line);
await recommender.recommend([], { boost: new Map([["50", 1]]) });
const unknown: string[] = [...answer.unknown, ...recommender.block(["x", 5n], { skipUnknown: true })];
const ranked: { items: number[]; scores: number[] } = await recommender.rank([0, 1], { k: 3, exclude: [2] });

const session: Session = await recommender.session(["50"]);
session.add(181);
session.extend(["174"]);
const told: [boolean, number] = [session.incremental, session.length];
const title: string | null = (await session.recommend({ k: 3 })).items[0]?.title ?? recommender.title("50");
try {
  await session.recommend({ k: 0 });
} catch (error) {
  if (error instanceof LightrecError) console.log(error.message, recommender.has(50), recommender.itemIds.length);
}
console.log(lines, content, unknown, ranked, told, title);
"""
MISTAKES = {
    "a precision that there is not": 'await Recommender.load("bundle", { precision: "int5" });',
    "a number where a list belongs": "await recommender.recommend(50);",
    "a boost that is no number": 'await recommender.recommend([], { boost: { a: "much" } });',
    "a title that may be null": "(await recommender.recommend([])).items[0].title.length;",
    "what is only to be read": "recommender.itemIds.push('x');",
    "a recommender that nobody loaded": "new Recommender();",
}


@pytest.fixture
def complaints(typescript, tmp_path):
    """A function that compiles a program beside lightrec.d.ts and returns what the compiler complains about."""
    shutil.copy(FOLDER / "lightrec.d.ts", tmp_path)

    def compiled(program):
        (tmp_path / "program.ts").write_text(program, encoding="utf-8")
        command = ["node", typescript, *OPTIONS, "program.ts"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        found = done.stdout.splitlines()
        assert bool(found) == (done.returncode != 0), done.stderr
        return found

    return compiled


def test_the_precisions_are_those_of_an_export():
    types = (FOLDER / "lightrec.d.ts").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^export type Precision = (.*);$", types, re.MULTILINE)
    assert listed == " | ".join(f'"{precision}"' for precision in TOLERANCE)


@pytest.mark.slow
def test_a_program_that_uses_everything_compiles(complaints):
    assert complaints(CONSUMER) == []


@pytest.mark.slow
def test_mistakes_are_seen(complaints):
    lines = CONSUMER.count("\n")
    found = complaints(CONSUMER + "\n".join(MISTAKES.values()))
    places = [int(re.match(r"program\.ts\((\d+),", line)[1]) - lines for line in found if line.startswith("program")]
    assert [list(MISTAKES)[place - 1] for place in places] == list(MISTAKES)
