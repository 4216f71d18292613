"""The static folder: what it holds, that it is whole, and what is refused."""

import base64
import dataclasses
import errno
import gzip
import hashlib
import json
import re
import shutil

import pytest
from mini_bundle import pack
from typer.testing import CliRunner

from lightrec import Recommender
from lightrec.bundle import TEXT_PROJECTION, read_manifest, write_manifest
from lightrec.cli.app import app
from lightrec.errors import BundleError, BundleIntegrityError, ConfigError, DownloadError, LightrecError
from lightrec.verify.verify_bundle import verify_bundle
from lightrec.web import FOLDER
from lightrec.web.package import package_for_web
from lightrec.web.user_files import packaged_files


def precache(folder):
    text = (folder / "precache.js").read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"self\.PRECACHE = (.*);\n", text, re.DOTALL)[1])


def files(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_the_folder_holds_page_library_runtime_and_bundle(package):
    page = {file.name for file in (FOLDER / "page").iterdir()}
    expected = {"precache.js", "lightrec.js", "lightrec.d.ts", *page}
    expected |= {f"onnxruntime-web/{name}" for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")}
    kept = ("manifest.json", "model.onnx", "items.json.gz", "popularity.npy", "golden.json", "titles.json.gz")
    expected |= {f"bundle/{name}" for name in kept}
    assert files(package.path) == set(package.files) == expected


def test_sizes_are_those_of_the_files(package):
    assert package.runtime_bytes == 2000
    assert package.own_bytes == sum(file.stat().st_size for file in package.path.rglob("*") if file.is_file()) - 2000


def test_the_bundle_in_it_is_whole_and_has_the_one_model_that_a_browser_runs(package, bundle):
    report = verify_bundle(package.path / "bundle")
    assert [(check.backend, check.status) for check in report.models] == [("onnxruntime", "passed")]
    history = ["a", "b"]
    assert Recommender.load(package.path / "bundle").recommend(history) == Recommender.load(bundle).recommend(history)


def test_what_no_device_needs_stays_behind(own_bundle, runtime_files, tmp_path):
    (own_bundle / TEXT_PROJECTION).write_bytes(b"a language model's projection")
    (own_bundle / "titles.json.gz").unlink()
    write_manifest(own_bundle, read_manifest(own_bundle))
    package = package_for_web(own_bundle, tmp_path / "web", onnxruntime_web=runtime_files)
    assert not {f"bundle/{TEXT_PROJECTION}", "bundle/titles.json.gz"} & set(package.files)
    assert verify_bundle(package.path / "bundle").passed


def test_all_that_a_visitor_needs_is_kept_for_offline_use(package):
    not_needed = {"lightrec.d.ts", "bundle/golden.json", "service-worker.js", "precache.js"}
    kept = {name.replace("./", "index.html"): digest for name, digest in precache(package.path)["files"].items()}
    assert set(kept) == files(package.path) - not_needed
    for name, digests in kept.items():
        content = (package.path / name).read_bytes()
        forms = [content, gzip.decompress(content)] if name.endswith(".gz") else [content]
        found = [base64.b64encode(hashlib.sha256(form).digest()).decode() for form in forms]
        assert digests == " ".join(f"sha256-{digest}" for digest in found)


def test_any_changed_byte_is_a_new_version_and_nothing_else_is(bundle, runtime_files, tmp_path):
    first = package_for_web(bundle, tmp_path / "a", onnxruntime_web=runtime_files)
    again = package_for_web(bundle, tmp_path / "b", onnxruntime_web=runtime_files)
    assert precache(first.path) == precache(again.path)
    other = shutil.copytree(runtime_files, tmp_path / "other")
    (other / "ort-wasm-simd-threaded.wasm").write_bytes(b"y" * 1000)
    changed = package_for_web(bundle, tmp_path / "a", onnxruntime_web=other)  # an earlier package is replaced
    assert precache(changed.path)["version"] != precache(again.path)["version"]
    assert set(precache(changed.path)["files"]) == set(precache(again.path)["files"])


def test_a_folder_of_something_else_is_left_alone(bundle, runtime_files, tmp_path):
    (tmp_path / "letters.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="is not a web package"):
        package_for_web(bundle, tmp_path, onnxruntime_web=runtime_files)
    assert files(tmp_path) == {"letters.txt"}
    (tmp_path / "precache.js").write_text("something else's")
    with pytest.raises(ConfigError, match="is not a web package"):
        package_for_web(bundle, tmp_path, onnxruntime_web=runtime_files)
    assert files(tmp_path) == {"letters.txt", "precache.js"}


def test_the_files_of_a_package_are_known_from_its_list(package):
    assert packaged_files(package.path) == set(package.files)


def test_files_of_ones_own_stay_where_they_are(bundle, own_bundle, runtime_files, tmp_path):
    out = tmp_path / "web"
    package_for_web(bundle, out, onnxruntime_web=runtime_files)
    (out / "shop" / "empty").mkdir(parents=True)
    for name in ("mine.html", ".nojekyll", "shop/precache.js", "bundle/notes.txt"):
        (out / name).write_text(f"my {name}")
    (out / "latest").symlink_to("shop")
    (own_bundle / "titles.json.gz").unlink()  # the new package has none either
    again = package_for_web(own_bundle, out, onnxruntime_web=runtime_files)
    own = {"mine.html", ".nojekyll", "shop/precache.js", "bundle/notes.txt"}
    assert files(out) == set(again.files) | own and not own & set(again.files)
    assert all((out / name).read_text() == f"my {name}" for name in own)
    assert (out / "latest").readlink().name == "shop" and (out / "shop" / "empty").is_dir()
    assert packaged_files(out) == set(again.files) and "bundle/titles.json.gz" not in again.files


def test_files_of_ones_own_outlive_a_kill_between_two_renames(bundle, runtime_files, tmp_path):
    out = tmp_path / "web"
    package_for_web(bundle, out, onnxruntime_web=runtime_files)
    (out / "mine.html").write_text("my page")
    out.rename(tmp_path / ".web.lightrec-0123abcd.old")  # as a writer leaves it that is killed right then
    again = package_for_web(bundle, out, onnxruntime_web=runtime_files)
    assert (out / "mine.html").read_text() == "my page" and files(out) == {*again.files, "mine.html"}
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == ["web"]


def test_a_package_that_cannot_be_written_leaves_the_one_before(bundle, runtime_files, tmp_path, monkeypatch):
    out = tmp_path / "web"
    package_for_web(bundle, out, onnxruntime_web=runtime_files)
    (out / "mine.html").write_text("my page")
    before = {name: (out / name).read_bytes() for name in files(out)}

    def full(*given, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightrec.web.package.carry_own_files", full)
    with pytest.raises(LightrecError, match=str(out)):
        package_for_web(bundle, out, onnxruntime_web=runtime_files)
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_a_file_of_ones_own_under_a_name_of_the_package_is_not_replaced(bundle, own_bundle, runtime_files, tmp_path):
    out = tmp_path / "web"
    (own_bundle / "titles.json.gz").unlink()
    package_for_web(own_bundle, out, onnxruntime_web=runtime_files)
    (out / "bundle" / "titles.json.gz").write_text("mine")
    before = files(out)
    with pytest.raises(ConfigError, match=r"holds a bundle/titles\.json\.gz of your own.*rename yours"):
        package_for_web(bundle, out, onnxruntime_web=runtime_files)
    assert files(out) == before and (out / "bundle" / "titles.json.gz").read_text() == "mine"


def test_a_folder_without_onnxruntime_names_what_it_lacks(bundle, tmp_path):
    with pytest.raises(ConfigError, match=r"holds no ort\.wasm\.bundle\.min\.mjs and no ort-wasm-simd-threaded\.wasm"):
        package_for_web(bundle, tmp_path / "web", onnxruntime_web=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_bundle_is_not_packaged(own_bundle, runtime_files, tmp_path):
    (own_bundle / "items.json.gz").write_text("[]")
    with pytest.raises(BundleIntegrityError, match=r"items\.json\.gz"):
        package_for_web(own_bundle, tmp_path / "web", onnxruntime_web=runtime_files)
    assert not (tmp_path / "web").exists()


@pytest.mark.parametrize(("precision", "said"), [(None, "holds no model for"), ("int8", "holds no int8 for")])
def test_a_bundle_without_a_model_for_a_browser_is_refused(own_bundle, runtime_files, tmp_path, precision, said):
    manifest = read_manifest(own_bundle)
    if precision is None:
        write_manifest(own_bundle, dataclasses.replace(manifest, models=manifest.models[1:]))
    with pytest.raises(BundleError, match=said):
        package_for_web(own_bundle, tmp_path / "web", precision, runtime_files)


def test_a_model_of_two_files_is_refused(own_bundle, runtime_files, tmp_path):
    manifest = read_manifest(own_bundle)
    (own_bundle / "table.bin").write_bytes(b"")
    model = dataclasses.replace(manifest.models[0], files=("model.onnx", "table.bin"))
    write_manifest(own_bundle, dataclasses.replace(manifest, models=(model,)))
    with pytest.raises(BundleError, match=r"in one file.*onnxruntime fp32 \(model\.onnx, table\.bin\)"):
        package_for_web(own_bundle, tmp_path / "web", onnxruntime_web=runtime_files)


def test_a_packed_catalogue_is_listed_for_the_browser(own_bundle, runtime_files, bundle, package, tmp_path):
    found = package_for_web(pack(own_bundle), tmp_path / "web", onnxruntime_web=runtime_files)
    assert set(found.files) == set(package.files)
    for name in ("items.json.gz", "titles.json.gz"):
        assert (found.path / "bundle" / name).read_bytes() == (bundle / name).read_bytes()


def test_without_npm_the_files_can_be_given(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DownloadError, match=r"onnxruntime-web 1\.30\.0 needs npm.*give the files"):
        package_for_web(bundle, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_the_command_reports_every_file(bundle, runtime_files, tmp_path):
    arguments = ["package", str(bundle), "--for", "web", "--out", str(tmp_path / "web")]
    arguments += ["--onnxruntime-web", str(runtime_files)]
    answer = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert set(answer["files"]) == files(tmp_path / "web")
    assert f"http.server --directory {tmp_path / 'web'}  and" in CliRunner().invoke(app, arguments).output
    arguments[arguments.index("--out") + 1] = str(tmp_path / "my web")
    assert f"http.server --directory '{tmp_path / 'my web'}'  and" in CliRunner().invoke(app, arguments).output


def test_another_place_is_refused(bundle, tmp_path):
    result = CliRunner().invoke(app, ["package", str(bundle), "--for", "mars", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2
