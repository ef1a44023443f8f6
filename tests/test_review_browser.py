"""The review page in a real browser: keys pressed, the ledger looked at."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from midefics.review.application import review_application
from midefics.services import Services
from tests.rows import make_row, make_services
from tests.test_review_page import conversations, labelled, turns

playwright = pytest.importorskip(
    "playwright.sync_api",
    reason="needs playwright, and Debian's chromium: pip install playwright, apt install chromium",
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on the PATH: apt install chromium, or name one in CHROMIUM"),
]

FRAME = '<link rel="icon" href="data:,"><iframe src="midefics-review/" sandbox="allow-scripts allow-same-origin allow-forms allow-downloads" width="900" height="900"></iframe>'
"""As Airflow shows a page of a plugin."""


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path)


@pytest.fixture
def address(services: Services) -> Iterator[str]:
    """Of the application, under a base path."""
    outer = FastAPI()
    outer.mount("/airflow/midefics-review", review_application(services, lambda: "Ann", lambda: True))
    outer.get("/airflow/frame")(lambda: HTMLResponse(FRAME))
    server = uvicorn.Server(uvicorn.Config(outer, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/airflow/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser, address: str):
    """A page whose every error fails the test."""
    context = browser.new_context()
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield found
    context.close()
    assert errors == []


def decided(services: Services) -> list[tuple[str, str, str]]:
    return [(review.decision, review.reason, review.reviewer) for review in services.reviews.history()]


def test_somebody_reviews_with_the_keyboard_alone(services: Services, page, address: str) -> None:
    labelled(services, conversations(4))
    page.goto(f"{address}midefics-review/")
    first = page.text_content("#row")
    page.keyboard.press("a")
    page.wait_for_url("**/?at=2")
    page.keyboard.press("r")
    page.keyboard.type("a jar, says who edits jars")  # letters that are shortcuts elsewhere
    page.keyboard.press("Enter")
    page.wait_for_url("**/?at=3")
    assert "2 of 4, 1 rejected" in page.text_content("#progress")
    page.keyboard.press("e")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("A brown nevus, as edited.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?at=4")
    page.keyboard.press("k")
    page.wait_for_url("**/?at=3")
    assert "You decided: edit" in page.text_content(".mine")
    assert "A brown nevus, as edited." in page.text_content("#conversation")
    page.keyboard.press("j")
    page.wait_for_url("**/?at=4")
    assert decided(services) == [
        ("accept", "", "Ann"),
        ("reject", "a jar, says who edits jars", "Ann"),
        ("edit", "", "Ann"),
    ]
    reviews = services.reviews.history()
    assert reviews[0].row == first
    assert [turn.answer for turn in reviews[2].turns][:1] == ["A brown nevus, as edited."]


def test_help_opens_and_closes_and_shortcuts_can_be_switched_off(services: Services, page, address: str) -> None:
    labelled(services, conversations(2))
    page.goto(f"{address}midefics-review/")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    assert page.get_attribute("#reject", "open") is None
    page.keyboard.press("?")
    page.uncheck("#keys")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("a")
    page.keyboard.press("j")
    assert page.url.endswith("midefics-review/")
    assert decided(services) == []


def test_the_buttons_do_the_same_and_a_bad_edit_is_explained(services: Services, page, address: str) -> None:
    labelled(services, conversations(2))
    page.goto(f"{address}midefics-review/")
    page.click("summary.edit")
    page.fill("[name=answer-0]", "A nevus, and more.")
    page.fill("[name=question-1]", "")
    page.fill("[name=answer-1]", "")
    page.route(
        "**/decide", lambda route: route.fulfill(response=route.fetch(), status=200)
    )  # a 422 is told to the console
    page.click("#edit button")
    page.wait_for_selector("[role=alert]")
    assert "4 to 6 turns, this one has 3" in page.text_content("[role=alert]")
    assert page.input_value("[name=answer-0]") == "A nevus, and more."
    assert decided(services) == []


def test_a_held_key_decides_once(services: Services, page, address: str) -> None:
    labelled(services, conversations(3))
    page.goto(f"{address}midefics-review/")
    page.keyboard.down("a")
    page.keyboard.down("a")
    page.wait_for_url("**/?at=2")
    page.keyboard.down("a")
    page.keyboard.up("a")
    page.click("#next")
    page.wait_for_url("**/?at=3")
    assert len(decided(services)) == 1


def test_it_works_in_the_frame_that_airflow_shows_it_in(services: Services, page, address: str) -> None:
    labelled(services, conversations(2))
    page.goto(f"{address}frame")
    frame = page.frame_locator("iframe")
    frame.locator("h1").click()
    page.keyboard.press("a")
    frame.get_by_text("1 of 2, 0 rejected").wait_for()
    assert decided(services) == [("accept", "", "Ann")]


def test_what_is_quoted_runs_nothing(services: Services, page, address: str) -> None:
    bad = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    said = turns(bad)
    labelled(services, [make_row(0, turns=said, writer=bad, metadata={"caption": bad}, attribution=bad)])
    page.goto(f"{address}midefics-review/")
    assert page.title().startswith("1 of 1")
    assert bad in page.text_content("#image dd")


@pytest.mark.parametrize("width", [360, 820, 1440])
def test_nothing_runs_off_the_side(services: Services, page, address: str, width: int) -> None:
    long = tuple(turn.model_copy(update={"answer": "x" * 400}) for turn in turns(0))
    labelled(services, conversations(2, turns=long, metadata={"a_rather_long_name_of_a_field": "y" * 200}))
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(f"{address}midefics-review/")
    for key in ("e", "Escape", "r"):
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_airflows_theme_is_kept_to(services: Services, page, address: str) -> None:
    labelled(services, conversations(1))
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}midefics-review/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    assert page.evaluate(ground) != light


def contrast(one: list[float], other: list[float]) -> float:
    """As WCAG 2 defines it, of two colours in sRGB."""

    def luminance(colour: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (c / 255 for c in colour)]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(services: Services, page, address: str, scheme: str) -> None:
    labelled(services, conversations(2))
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}midefics-review/")
    script = """() => {
      const parse = (text) => text.match(/[\\d.]+/g).map(Number);
      const ground = (node) => {
        for (; node; node = node.parentElement) {
          const found = parse(getComputedStyle(node).backgroundColor);
          if (found.length < 4 || found[3] > 0) return found.slice(0, 3);
        }
      };
      return [...document.querySelectorAll("h1, h2, h3, p, dt, dd, button, summary, a:not(.skip), figcaption, footer span, .who")]
        .filter((node) => node.checkVisibility())
        .map((node) => [node.textContent.trim().slice(0, 40), parse(getComputedStyle(node).color).slice(0, 3), ground(node)]);
    }"""
    found = page.evaluate(script)
    assert len(found) > 20
    assert [text for text, ink, ground in found if contrast(ink, ground) < 4.5] == []
