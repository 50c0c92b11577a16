"""The page in a real browser: one text, several texts, what is known of the model, and who can use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from page_browser import LOW_CONTRASTS, Visit, is_wider_than_window, nameless_controls, open_browser, watched_visits
from page_stub import HOSTILE, StubServer, Trouble, stub_server

pytestmark = pytest.mark.slow

TABS = ["try", "several", "file", "model"]
SINGLE = {"task": "single_label", "labels": ["negative", "neutral", "positive"]}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with open_browser() as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens pages and holds at the end that nothing went wrong in them."""
    with watched_visits(browser) as found:
        yield found


@pytest.fixture
def server() -> Iterator[StubServer]:
    """Says one of three classes."""
    with stub_server(SINGLE) as found:
        yield found


def _bars(page: Page) -> list[str]:
    return page.locator("#try-result .bars .name").all_text_contents()


def _of_path(server: StubServer, path: str) -> list[Any]:
    return [body for asked, body in server.asked if asked == path]


def _fill(page: Page, tab: str, texts: str) -> None:
    """Open a tab and put texts in, until there is something to be seen of them."""
    page.locator(f"#tab-{tab}").click()
    if tab == "several":
        page.fill("#several-texts", texts)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#several-answers tbody tr").first).to_be_visible()
    if tab == "file":
        content = "\n".join(["a" * 500, *texts.split("\n")]).encode()
        page.set_input_files("#file-input", {"name": "a.csv", "mimeType": "text/csv", "buffer": content})
        page.locator("#file-start").click()
        expect(page.locator("#file-download")).to_be_visible()


def test_answer_appears_while_typing(visit: Visit, server: StubServer) -> None:
    """A rest in typing is enough: the classes stand in the order of their scores, and it is told how long it took."""
    page = visit(server)
    page.get_by_label("Text", exact=True).type("a good film", delay=20)
    expect(page.locator("#try-result .headline")).to_have_text("positive90.0%")
    assert _bars(page) == ["positive", "negative", "neutral"]
    expect(page.locator("#try-took")).to_contain_text("ms")
    expect(page.get_by_role("status")).to_have_text("Answer: positive, 90.0%.")
    assert _of_path(server, "/predict")[-1] == {"text": "a good film"}
    assert len(_of_path(server, "/predict")) < len("a good film")


def test_words_are_marked_for_and_against(visit: Visit, server: StubServer) -> None:
    """The text stands there as it was typed, emoji and lines too, and its words are marked by shape and in a list."""
    page = visit(server)
    text = "\U0001f600 A good\nstart, a bad end unread"
    page.fill("#try-text", text)
    expect(page.locator(".marked")).to_have_text(text, use_inner_text=True)
    expect(page.locator(".marked mark.for")).to_have_text("good")
    expect(page.locator(".marked mark.against")).to_have_text("bad")
    expect(page.locator(".marked .unread")).to_have_text("unread")
    expect(page.locator(".legend")).to_contain_text("Struck words were not read")
    styles = [
        page.locator(f".marked mark.{kind}").evaluate("(mark) => getComputedStyle(mark).textDecorationStyle")
        for kind in ("for", "against")
    ]
    assert styles == ["solid", "dotted"]
    expect(page.locator(".strongest .for li")).to_have_text("good+0.90")
    expect(page.locator(".strongest .against li")).to_have_text("bad\N{MINUS SIGN}0.70")


def test_another_class_can_be_explained(visit: Visit, server: StubServer) -> None:
    """The choice asks the server for that class, and without marks nothing is asked at all."""
    page = visit(server)
    page.fill("#try-text", "good")
    expect(page.locator(".legend strong")).to_have_text("positive")
    page.get_by_label("Class that is explained").select_option("negative")
    expect(page.locator(".legend strong")).to_have_text("negative")
    assert _of_path(server, "/explain")[-1] == {"text": "good", "label": "negative"}
    page.get_by_label("Mark the words that matter").uncheck()
    expect(page.locator("#why")).to_be_hidden()
    before = len(_of_path(server, "/explain"))
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.locator("#try-answer")).to_have_attribute("aria-busy", "false")
    assert len(_of_path(server, "/explain")) == before


def test_only_the_last_text_is_answered(visit: Visit, server: StubServer) -> None:
    """An answer that comes late never stands beside another text."""
    page = visit(server)
    server.delay_s = 0.6
    page.fill("#try-text", "good")
    page.keyboard.press("Control+Enter")
    page.fill("#try-text", "dull")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#try-result .said")).to_have_text("negative")
    page.wait_for_timeout(800)
    expect(page.locator("#try-result .said")).to_have_text("negative")
    page.fill("#try-text", "  ")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#try-result")).to_have_text("The answer appears here while you type.")


def test_long_texts_are_told(visit: Visit, server: StubServer) -> None:
    """What the model did not read is said, and no more is sent than the server needs to see it."""
    page = visit(server)
    page.fill("#try-text", "word " * 6000)
    expect(page.locator(".note")).to_contain_text("longer than what the model reads")
    assert len(_of_path(server, "/predict")[-1]["text"]) == server.limits.characters + 1


def test_many_classes_are_shown_on_demand(visit: Visit) -> None:
    """Ten of 28 at first, all when asked for; a hostile name is shown as it is written."""
    labels = [HOSTILE, *(f"label {number}" for number in range(27))]
    with stub_server({"task": "multi_label", "labels": labels}) as server:
        page = visit(server)
        page.fill("#try-text", "good")
        expect(page.locator("#try-result .said")).to_have_text([HOSTILE, "label 26"])
        assert len(_bars(page)) == 10
        page.get_by_role("button", name="Show all 28 classes").click()
        assert len(_bars(page)) == 28
        expect(page.get_by_role("button", name="Show the first ones")).to_be_focused()
        expect(page.locator("#try-result .tick")).to_have_count(2)
        page.fill("#try-text", "dull")
        expect(page.locator("#try-result .none")).to_have_text("None of the classes reaches its threshold")
        page.get_by_role("tab", name="Model").click()
        expect(page.locator("#model-labels li").first).to_have_text(HOSTILE)
        page.get_by_role("tab", name="Several").click()
        page.fill("#several-texts", f"good {HOSTILE}")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#several-answers .chip").first).to_have_text(HOSTILE)
        assert page.locator("main img").count() == 0


def test_numbers_and_pairs(visit: Visit) -> None:
    """A regression of pairs has two fields and says a number; lines of several hold both texts."""
    with stub_server({"task": "regression", "labels": ["similarity"], "pairs": True}) as server:
        page = visit(server)
        page.get_by_label("First text").fill("a good film")
        page.get_by_role("textbox", name="Second text").fill("a bad film")
        expect(page.locator("#try-result .figure")).to_have_text("1.375")
        expect(page.locator(".marked")).to_have_text(["a good film", "a bad film"])
        expect(page.locator(".legend strong")).to_have_text("a higher value")
        assert _of_path(server, "/predict")[-1] == {"text": "a good film", "text_pair": "a bad film"}
        page.get_by_role("tab", name="Several").click()
        page.fill("#several-texts", "one\ttwo\nthree | four")
        page.get_by_role("button", name="Classify all").click()
        expect(page.locator("#several-answers tbody tr")).to_have_count(2)
        assert _of_path(server, "/predict/batch") == [{"texts": ["one", "three "], "text_pairs": ["two", " four"]}]


def test_several_texts_go_in_batches(visit: Visit, server: StubServer) -> None:
    """One text a line, empty lines apart, no more at once than the server takes."""
    page = visit(server, "/#several")
    page.fill("#several-texts", "\n\n".join(f"good {number}" for number in range(150)))
    page.keyboard.press("Control+Enter")
    expect(page.locator("#several-answers tbody tr")).to_have_count(150)
    assert [len(body["texts"]) for body in _of_path(server, "/predict/batch")] == [64, 64, 22]
    expect(page.locator("#several-answers tbody tr").last).to_have_text("150good 149positive90.0%")


def test_model_is_described(visit: Visit, server: StubServer) -> None:
    """Figures, labels, limits, and a command for this very address."""
    page = visit(server, "/#model")
    expect(page.locator("#model-metrics tbody tr").first).to_have_text("accuracy0.87120.8655")
    expect(page.locator("#model-facts")).to_contain_text("The first 256 tokens; the rest is left out")
    expect(page.locator("#curl")).to_contain_text(f"curl {server.address}/predict")
    expect(page.locator("#model-limits")).to_contain_text("1,048,576")
    expect(page.locator("#model-kind")).to_contain_text("onnx-int8")
    page.get_by_role("link", name="API", exact=True).click()
    expect(page).to_have_url(f"{server.address}/docs")


def test_refusals_are_sentences(visit: Visit, server: StubServer) -> None:
    """What the server says is read out at once with the request's id; a lost connection can be tried again."""
    page = visit(server, troubled=True)
    server.troubles["/predict"] = [Trouble(422, "text must be a string")]
    page.fill("#try-text", "good")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Text must be a string.")
    expect(alert).to_contain_text("request-1")
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
    server.troubles["/predict"] = [Trouble(401)]
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(alert).to_contain_text("Reload the page and give the key")
    page.context.set_offline(True)
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(alert).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator("#try-result .said")).to_have_text("positive")
    expect(alert).to_be_hidden()


def test_busy_server_is_waited_for(visit: Visit, server: StubServer) -> None:
    """An answer that is refused for now is asked for again when the server says; an explanation can fail alone."""
    page = visit(server, troubled=True)
    server.troubles["/predict"] = [Trouble(503, headers={"Retry-After": "1"})]
    server.troubles["/explain"] = [Trouble(503)] * 3
    page.fill("#try-text", "good")
    expect(page.locator("#try-result .said")).to_have_text("positive")
    expect(page.locator("#why-words")).to_contain_text("No explanation this time. Too many texts are waiting.")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.locator("#why-words").get_by_role("button", name="Try again").click()
    expect(page.locator(".marked mark")).to_have_text("good")


def test_start_can_be_tried_again(browser: Browser, server: StubServer) -> None:
    """A server that still loads its model is told, and the page goes on from there."""
    server.troubles["/info"] = [Trouble(503, "the model is being loaded")]
    page = browser.new_context().new_page()
    page.goto(server.address)
    expect(page.get_by_role("alert")).to_contain_text("The model is being loaded.")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("reviews")
    page.context.close()


def test_keyboard_is_enough(visit: Visit, server: StubServer) -> None:
    """Tab goes from control to control, arrows between the tabs, Enter sends, and the focus is always to be seen."""
    page = visit(server)
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="API", exact=True)).to_be_focused()
    press("Tab")
    expect(page.get_by_role("tab", name="Try")).to_be_focused()
    for name in ("ArrowLeft", "ArrowRight", "ArrowRight"):
        press(name)
    expect(page.get_by_role("tab", name="Several")).to_be_focused()
    expect(page.get_by_role("tab", name="Several")).to_have_attribute("aria-selected", "true")
    press("Tab")
    page.keyboard.type("a good film")
    press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    expect(page.locator("#several-answers tbody tr")).to_have_count(1)
    page.get_by_role("tab", name="Several").focus()
    press("End")
    expect(page.get_by_role("tabpanel", name="Model")).to_be_visible()
    press("Home")
    press("Tab")
    page.keyboard.type("good")
    press("Control+Enter")
    expect(page.locator("#try-result .said")).to_have_text("positive")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_readable(visit: Visit, server: StubServer, scheme: str) -> None:
    """In both schemes every text stands out from its ground, and every control has a name."""
    page = visit(server, color_scheme=scheme)
    page.fill("#try-text", "good and rather bad")
    expect(page.locator(".marked mark")).to_have_count(3)
    for tab in TABS:
        _fill(page, tab, "good\nbad")
        page.mouse.move(0, 0)
        # Colours change within moments.
        page.wait_for_timeout(300)
        assert page.evaluate(LOW_CONTRASTS) == []
        assert nameless_controls(page) == []


def test_phones_show_all_of_it(visit: Visit, server: StubServer) -> None:
    """At a width of 360 pixels nothing has to be scrolled sideways, whatever the words are."""
    server.model |= {"name": "a_model_of_a_name_that_does_not_end_" * 4}
    server.model["labels"] = ["short", "Donaudampfschifffahrtsgesellschaft" * 3]
    page = visit(server, viewport=PHONE)
    page.fill("#try-text", "good" * 200)
    expect(page.locator("#try-result .bars")).to_be_visible()
    for tab in TABS:
        _fill(page, tab, "good" * 200)
        assert not is_wider_than_window(page), tab


def test_documentation_can_be_off(visit: Visit, server: StubServer) -> None:
    """A server that shows no documentation has no links to it."""
    server.docs = False
    page = visit(server, "/#model")
    expect(page.get_by_role("link")).to_have_count(0)


def test_documentation_shows_operations(visit: Visit, server: StubServer) -> None:
    """Groups, fields of bodies and a form that really asks; names in the document are never read as HTML."""
    page = visit(server, "/docs")
    expect(page.locator("#operations h2")).to_have_text(["Answers", "Other"])
    page.locator("#operations summary").first.click()
    fields = page.locator(".operation").first.locator(".fields").first
    expect(fields).to_contain_text("text string, required, at most 9 characters")
    expect(fields).to_contain_text(f"What is read: {HOSTILE}")
    page.get_by_label("Body").fill('{"text": "good"}')
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".result")).to_contain_text('"label": "positive"')
    assert server.asked == [("/predict", {"text": "good"})]
    assert page.evaluate(LOW_CONTRASTS) == []
    assert nameless_controls(page) == []
    page.set_viewport_size(PHONE)
    assert not is_wider_than_window(page)
