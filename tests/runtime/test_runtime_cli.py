import json

import pytest
from mini_bundle import write_bundle

from lightrec.cli.app import main


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def lightrec(monkeypatch, capsys):
    """Run the command line; returns exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["lightrec", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return run


def test_recommend_prints_titles_of_history_and_answer(lightrec, bundle):
    code, out, _ = lightrec("recommend", bundle, "--history", "a,b", "--history", "x", "-k", 2)
    assert code == 0
    for word in ("Alien", "Brazil", "Casablanca", "5.000", "skipped: x"):
        assert word in out
    assert "Seven" not in out


def test_recommend_prints_json_for_scripts(lightrec, bundle):
    code, out, _ = lightrec("recommend", bundle, "--history", "a, x", "-k", 2, "--exclude", "b", "--json")
    assert code == 0
    assert json.loads(out) == {
        "history": [{"id": "a", "title": "Alien"}, {"id": "x", "title": None}],
        "recommendations": [
            {"id": "c", "score": 8.0, "title": "Casablanca"},
            {"id": "d", "score": 7.0, "title": None},
        ],
        "unknown": ["x"],
        "fallback": False,
    }


def test_an_id_with_a_comma_is_taken_whole(lightrec, bundle):
    arguments = ["--history", "a", "--history", "e,f", "--candidates", "e,f", "--candidates", "b,c", "--json"]
    answer = json.loads(lightrec("recommend", bundle, *arguments)[1])
    assert [item["id"] for item in answer["history"]] == ["a", "e,f"]
    assert [item["id"] for item in answer["recommendations"]] == ["c", "b"]


def test_recommend_boosts_items(lightrec, bundle):
    answer = json.loads(lightrec("recommend", bundle, "--history", "a", "-k", 1, "--boost", "7=4.5", "--json")[1])
    assert [(item["id"], item["score"]) for item in answer["recommendations"]] == [("7", 9.5)]
    code, _, error = lightrec("recommend", bundle, "--history", "a", "--boost", "7")
    assert code == 2 and "'7' is not of the form ID=NUMBER" in error


def test_recommend_without_history_shows_the_most_popular(lightrec, bundle):
    code, out, _ = lightrec("recommend", bundle, "-k", 3)
    assert code == 0
    assert "Most popular" in out
    assert "Seven" in out
    assert "Brazil" not in out


def test_wrong_input_is_one_sentence_and_code_2(lightrec, bundle, tmp_path):
    for arguments, sentence in [
        (("recommend", tmp_path / "nowhere"), "is not a bundle"),
        (("recommend", bundle, "--history", "a", "-k", "0"), "k is 0"),
        (("recommend", bundle, "--backend", "openvino"), "holds no model for openvino"),
        (("verify", tmp_path), "is not a bundle"),
    ]:
        code, out, err = lightrec(*arguments)
        assert (code, out) == (2, "")
        assert sentence in err
        assert err.startswith("Error: ") and err.count("\n") == 1


def test_verify_prints_a_row_for_each_model(lightrec, bundle):
    code, out, _ = lightrec("verify", bundle)
    assert code == 0
    assert "5 files match" in out
    assert "onnxruntime" in out and "passed" in out
    answer = json.loads(lightrec("verify", bundle, "--json")[1])
    assert (answer["passed"], answer["models"][0]["status"]) == (True, "passed")


def test_verify_of_a_damaged_bundle_exits_with_2(lightrec, bundle):
    (bundle / "model.onnx").write_bytes(b"damaged")
    code, _, err = lightrec("verify", bundle)
    assert code == 2
    assert "model.onnx differs from its SHA-256" in err


def test_doctor_prints_what_is_here(lightrec):
    code, out, _ = lightrec("doctor")
    assert code == 0
    for word in ("CPUExecutionProvider", "usable of", "numpy", "export"):
        assert word in out
    assert json.loads(lightrec("doctor", "--json")[1])["problems"] == []
