"""The page /docs, and pages of other origins, in a real browser."""

from __future__ import annotations

import pytest
from mini_bundle import write_bundle
from service_process import Server

pytest.importorskip("fastapi", reason="needs the extra serve")
pytestmark = pytest.mark.slow

ASK = """async (address) => {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: '{"history": ["a"], "k": 1}' };
  try { return (await (await fetch(address, options)).json()).items[0].id; } catch (error) { return error.name; }
}"""


@pytest.fixture
def serve(tmp_path):
    bundle, servers = write_bundle(tmp_path / "bundle"), []

    def start(*options):
        servers.append(Server(bundle, "--timeout", "10", *options))
        return servers[-1], f"http://127.0.0.1:{servers[-1].port}"

    yield start
    assert [server.stop() for server in servers] == [0] * len(servers)


def test_every_button_of_the_page_works_under_its_policy(chromium, serve):
    _, address = serve()
    page, problems, asked = chromium.new_page(), [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/docs")
    page.wait_for_selector("details[open]")
    for section in page.locator("details").all():
        section.evaluate("element => { element.open = true; }")
        for field in section.locator("input").all():
            field.fill("bundle")
        if "/reload" in section.locator("summary").inner_text():
            continue  # it wants a header that the page does not send
        section.locator("button").click()
        section.locator("pre:not([hidden])").wait_for()
        assert section.locator("pre").inner_text().startswith("200 "), section.inner_text()
    assert problems == [] and all(url.startswith(address) for url in asked)
    page.close()


def test_an_inline_script_that_is_not_the_pages_own_does_not_run(chromium, serve):
    _, address = serve()
    page = chromium.new_page()
    page.goto(f"{address}/docs")
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
    }""")
    assert page.evaluate("window.ran") is None
    page.close()


def test_a_page_of_another_origin_may_ask_only_where_it_is_named(chromium, serve):
    """The pages' origins differ from the services' by their ports."""
    _, page_address = serve()
    _, closed = serve()
    _, open_ = serve("--cors-origin", page_address)
    page = chromium.new_page()
    page.goto(f"{page_address}/health")
    assert page.evaluate(ASK, f"{open_}/recommend") == "b"
    assert page.evaluate(ASK, f"{closed}/recommend") == "TypeError"
    page.close()
