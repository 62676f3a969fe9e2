"""The page, in a real browser: live progress, reasons, buttons, keyboard, colours; and without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.fsd.browser import Browser, browsing
from tests.fsd.faulty_source import Fault, FaultySource, faulty
from tests.fsd.mounting import until
from tests.fsd.steering import MODEL, OTHER, REFUSED, STRANGE, TOKEN, Steered, models, serving

LUMINANCE = """
const [r, g, b] = getComputedStyle(arguments[0])[arguments[1]].match(/[0-9.]+/g).map(
  v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
return 0.2126 * r + 0.7152 * g + 0.0722 * b;
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultySource]:
    base = tmp_path_factory.mktemp("source").resolve()
    with faulty(models(base / "models"), base / "mnt", base / "home", direct="*.safetensors") as source:
        yield source


@pytest.fixture(scope="module")
def daemon(source: FaultySource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    base = tmp_path_factory.mktemp("page").resolve()
    with serving(base, "--types", "q8_0,q4_0", source=source.path) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, daemon: Steered) -> Iterator[Browser]:
    """The page, all models planned. Afterwards nothing was complained of, and nothing asked elsewhere."""
    chromium.look(1100, "light")
    chromium.driver.get(f"{daemon.address}/")
    until(lambda: chromium.run("return !document.querySelector('[data-waiting]')"), "all is planned")
    chromium.run(
        "window.untouched = true; sessionStorage.clear(); document.querySelector('#token').value = ''"
    )
    yield chromium
    assert chromium.run("return window.untouched") is True, "the page was loaded anew"
    assert chromium.complaints() == []
    assert {url.startswith(f"{daemon.address}/") for url in chromium.requests()} == {True}


def enter_token(page: Browser, token: str) -> None:
    field = page.driver.find_element(By.ID, "token")
    field.clear()
    field.send_keys(token)


def row(name: str, model: str = MODEL) -> str:
    """A selector of a form's row: it has a button for the form's path."""
    return f"tr:has([data-path$='/{model}/{name}'])"


def button(page: Browser, action: str, name: str, model: str = MODEL) -> object:
    selector = f"{row(name, model)} button[data-action={action}]"
    return page.driver.find_element(By.CSS_SELECTOR, selector)


def press(page: Browser, action: str, name: str) -> None:
    """By the keyboard: focus, and Enter."""
    page.run("arguments[0].focus()", button(page, action, name))
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()


def test_a_warm_jobs_progress_is_live(page: Browser, daemon: Steered, source: FaultySource) -> None:
    """The first file is done, the second one's source stalls: in between is what is shown, and no reload."""
    source.befall(Fault(f"{OTHER}/*.safetensors", "stall"))
    paths = [str(daemon.form("q8_0")), str(daemon.form("q8_0", OTHER))]
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket)), base_url="http://d") as client:
        job = client.post("/v1/jobs", json={"kind": "warm", "paths": paths}).json()
    item = f"[data-job='{job['id']}']"

    def shown() -> tuple[float, float]:
        script = "const p = document.querySelector(arguments[0]); return p ? [p.value, p.max] : [0, 0]"
        value, maximum = page.run(script, f"{item} progress")
        return value, maximum

    until(lambda: 0 < shown()[0] < shown()[1], "a part is shown as done")
    assert shown()[0] == Path(paths[0]).stat().st_size
    until(lambda: " % of " in page.text(f"{item} .job-figures"), "the figures are shown")
    assert page.run("return document.querySelector(arguments[0]).dataset.state", item) == "running"
    until(lambda: "100 %" in page.text(f"{row('model.gguf-q8_0')} .cached"), "the first one's share grew")
    source.lift()
    until(lambda: "done" in page.text(f"{item} .job-figures"), "the job is shown as done")
    until(lambda: "100 %" in page.text(f"{row('model.gguf-q8_0', OTHER)} .cached"), "the share is shown")
    assert "warm done" in page.text("#heard")
    assert not page.run("return document.querySelector(arguments[0])", f"{item} progress")


def test_why_something_is_refused(page: Browser) -> None:
    shown = page.text("#models")
    assert REFUSED in shown, "the reason of a form"
    assert "bro<b>ken" in shown, "a hostile name is text"
    assert page.run("return document.querySelectorAll('#models b').length") == 0
    broken = "return document.querySelector('.refused').closest('article').innerText"
    assert "model.safetensors" in page.run(broken) or "header" in page.run(broken)


def test_buttons_need_the_token(page: Browser, daemon: Steered) -> None:
    press(page, "warm", "model.gguf-q4_0")
    until(lambda: "token" in page.text("[role=alert]"), "what is wrong is told")
    assert page.run("return document.activeElement.id") == "token"
    page.complaints()  # Chromium itself notes a 401
    enter_token(page, TOKEN)
    assert page.run("return sessionStorage.getItem('prismfs-token')") == TOKEN
    press(page, "warm", "model.gguf-q4_0")
    until(lambda: "100 %" in page.text(f"{row('model.gguf-q4_0')} .cached"), "it is warmed")
    assert page.text("[role=alert]") == ""
    press(page, "pin", "model.gguf-q4_0")
    until(lambda: "pinned" in page.text(row("model.gguf-q4_0")), "it is pinned")
    focused = "return [document.activeElement.dataset.action, document.activeElement.dataset.path]"
    until(lambda: page.run(focused)[0] == "unpin", "the focus stays in the row")
    assert page.run(focused)[1] == str(daemon.form("q4_0"))
    press(page, "unpin", "model.gguf-q4_0")
    until(lambda: "Pin" in page.text(f"{row('model.gguf-q4_0')} button").split("\n"), "it is unpinned")
    press(page, "evict", "model.gguf-q4_0")
    until(lambda: page.text(f"{row('model.gguf-q4_0')} .cached").strip() == "0 %", "it is evicted")


def test_a_job_is_cancelled(page: Browser, daemon: Steered, source: FaultySource) -> None:
    source.befall(Fault(f"{MODEL}/*.safetensors", "stall"))
    enter_token(page, TOKEN)
    press(page, "warm", "model.gguf-q4_0")
    cancel = "[data-job][data-state=running] button[data-action=cancel]"
    until(lambda: page.run("return !!document.querySelector(arguments[0])", cancel), "the job runs")
    page.run("document.querySelector(arguments[0]).click()", cancel)
    source.lift()
    until(lambda: "cancelled" in page.text("[data-job]"), "it is shown as cancelled")


def test_the_order_of_the_focus(page: Browser) -> None:
    """As it is read: the link past the top, the token, the search, and then the models' buttons."""
    keys = ActionChains(page.driver)
    page.run("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(12):
        keys.send_keys(Keys.TAB).perform()
        seen.append(
            page.run(
                "const e = document.activeElement; return e.id || e.dataset.action || e.className || e.type"
            )
        )
        outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"the focus is seen on {seen[-1]}"
    assert seen[:4] == ["skip", "token", "q", "submit"]
    assert seen[4:6] == ["warm", "evict"]
    assert page.run("return [...document.querySelectorAll('button')].every(b => b.innerText || b.ariaLabel)")
    headings = page.run("return [...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(page: Browser, scheme: str) -> None:
    page.look(1100, scheme)
    body = page.driver.find_element(By.TAG_NAME, "body")
    ground = page.run(LUMINANCE, body, "backgroundColor")
    assert (ground > 0.5) == (scheme == "light")
    for selector in ("body", ".quiet", ".what", ".problem", "footer a", ".good"):
        ink = page.run(LUMINANCE, page.driver.find_element(By.CSS_SELECTOR, selector), "color")
        bright, dim = max(ink, ground), min(ink, ground)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, selector


def test_a_phone_has_no_need_to_scroll_sideways(page: Browser) -> None:
    page.look(360, "light")
    assert page.run("return document.documentElement.scrollWidth") <= 360


def test_it_can_be_read_without_a_script(daemon: Steered) -> None:
    answer = httpx.get(f"{daemon.address}/")
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    for text in (MODEL, OTHER, STRANGE, REFUSED, "model.gguf-q8_0", "bro&lt;b&gt;ken", "Skip to the models"):
        assert text in answer.text
    assert "<b>" not in answer.text
    assert "style=" not in answer.text
    assert answer.text.count("<script") == 1
    assert "http://" not in answer.text.replace(daemon.address, "")


def test_models_are_found_by_name(daemon: Steered) -> None:
    shown = httpx.get(f"{daemon.address}/", params={"q": "QWEN"}).text
    assert f">{OTHER}</h3>" in shown
    assert f">{MODEL}</h3>" not in shown
    none = httpx.get(f"{daemon.address}/", params={"q": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in none
    assert "No model" in none


def test_what_is_not_there(daemon: Steered) -> None:
    assert httpx.get(f"{daemon.address}/page/page.html").status_code == 404
    assert httpx.get(f"{daemon.address}/page/..%2f__init__.py").status_code == 404
    too_long = httpx.get(f"{daemon.address}/", params={"q": "x" * 500})
    assert too_long.status_code == 422
    assert json.loads(too_long.text)["kind"] == "InvalidRequest"
