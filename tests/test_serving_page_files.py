"""CSV files in the page: read, labelled and given back by a real browser."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from forgeml.inference.files.formulas import is_formula
from forgeml.serving.limits import Limits
from page_browser import Visit, open_browser, watched_visits
from page_stub import HOSTILE, StubServer, Trouble, stub_server

pytestmark = pytest.mark.slow

SINGLE = {"task": "single_label", "labels": ["negative", "positive"]}


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
    """Says one of two classes."""
    with stub_server(SINGLE) as found:
        yield found


def _choose(page: Page, content: bytes, name: str = "reviews.csv") -> None:
    page.set_input_files("#file-input", {"name": name, "mimeType": "text/csv", "buffer": content})


def _rows(number: int) -> bytes:
    return b"text\n" + b"".join(b"good %d\n" % place for place in range(number))


def _label(page: Page, content: bytes, name: str = "reviews.csv") -> tuple[str, bytes]:
    """Name and content of what is downloaded."""
    _choose(page, content, name)
    page.locator("#file-start").click()
    return _download(page)


def _download(page: Page) -> tuple[str, bytes]:
    expect(page.locator("#file-download")).to_be_focused()
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def _texts(server: StubServer) -> list[str]:
    return [text for path, body in server.asked if path == "/predict/batch" for text in body["texts"]]


def test_all_columns_come_back(visit: Visit, server: StubServer) -> None:
    """To the byte: mark, delimiter, line ends, quotes and numbers stay, formulas are made harmless, names are free."""
    content = (
        '\ufefflabel;text;"a ""quoted"" name"\r\n'
        '1;"good; with a\r\nbreak";-1.5\r\n'
        "\r\n"
        '=1+2;"said ""so""";+49 30 1234567\r\n'
        f"@cmd;{HOSTILE};-- \r\n"
        "-;;\t"
    )
    page = visit(server, "/#file")
    name, labelled = _label(page, content.encode())
    assert name == "reviews_labelled.csv"
    assert labelled.decode() == (
        '\ufefflabel;text;"a ""quoted"" name";label_predicted;score\r\n'
        '1;"good; with a\r\nbreak";-1.5;positive;0.9\r\n'
        '\'=1+2;"said ""so""";+49 30 1234567;negative;0.9\r\n'
        f"'@cmd;{HOSTILE};'-- ;negative;0.9\r\n"
        "-;;'\t;negative;0.9\r\n"
    )
    assert _texts(server) == ["good; with a\r\nbreak", 'said "so"', HOSTILE, ""]
    notes = page.locator("#file-notes")
    expect(notes).to_contain_text("Added behind the columns of the file: label_predicted, score.")
    expect(notes).to_contain_text("4 cells that a spreadsheet would run as a formula got an apostrophe in front.")
    expect(notes).to_contain_text("1 text had nothing to read.")
    expect(page.locator("#file-summary li").first).to_have_text("negative3 (75.0%)")


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ({"task": "multi_label", "labels": ["a", "=b"]}, "text,labels\na good one,a|=b\ndull,\n"),
        ({"task": "multi_label", "labels": ["=a", "b"]}, "text,labels\na good one,'=a|b\ndull,\n"),
        ({"task": "regression", "labels": ["stars"]}, "text,value\na good one,1.25\ndull,0.5\n"),
    ],
)
def test_each_task_has_its_columns(visit: Visit, model: dict[str, Any], wanted: str) -> None:
    """Several labels are joined, a number stands alone, and labels can be formulas too."""
    with stub_server(model) as server:
        _, labelled = _label(visit(server, "/#file"), b"text\na good one\ndull\n")
    assert labelled.decode() == wanted


def test_pairs_have_two_columns(visit: Visit) -> None:
    """The second text is another column than the first, and both can be chosen."""
    with stub_server(SINGLE | {"pairs": True}) as server:
        page = visit(server, "/#file")
        _choose(page, b"id,claim,text\n1,a longer claim,good\n")
        expect(page.locator("#file-column")).to_have_value("2")
        expect(page.get_by_role("combobox", name="Second text")).to_have_value("1")
        page.get_by_role("combobox", name="Text column").select_option("id")
        page.locator("#file-start").click()
        expect(page.locator("#file-download")).to_be_visible()
        assert server.asked == [("/predict/batch", {"texts": ["1"], "text_pairs": ["a longer claim"]})]


def test_column_is_guessed_by_its_content(visit: Visit, server: StubServer) -> None:
    """Without a known name, the column with the longest cells is the text; the choice shows what it holds."""
    page = visit(server, "/#file")
    _choose(page, b"id\tremark\tcity\n1\ta good long remark\tRome\n", "remarks.tsv")
    expect(page.locator("#file-column")).to_have_value("1")
    expect(page.locator("#file-preview td")).to_have_text(["a good long remark"])
    page.get_by_label("Text column").select_option("city")
    expect(page.locator("#file-preview td")).to_have_text(["Rome"])


def test_file_is_chosen_by_keyboard_or_dropped(visit: Visit, server: StubServer) -> None:
    """The button opens the browser's dialog, and a file that falls anywhere on the tab is taken."""
    page = visit(server, "/#file")
    # From now on dialogs are caught; the wait below alone would begin to do so while the key is already pressed.
    page.on("filechooser", lambda chooser: None)
    page.get_by_role("tab", name="File").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#file-input")).to_be_focused()
    with page.expect_file_chooser() as waiting:
        page.keyboard.press("Enter")
    waiting.value.set_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"text\ngood\n"})
    expect(page.locator("#file-about")).to_have_text("a.csv has 1 row, 1 column.")
    carried = page.evaluate_handle(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["text", String.fromCharCode(10), "good"], "b.csv"));
            return data;
        }"""
    )
    page.dispatch_event("h1", "drop", {"dataTransfer": carried})
    expect(page.locator("#file-about")).to_have_text("b.csv has 1 row, 1 column.")


def test_work_can_be_stopped_and_goes_on(visit: Visit, server: StubServer) -> None:
    """The bar counts, Cancel ends the request that is under way, and no row is asked for twice that has its answer."""
    page = visit(server, "/#file")
    _choose(page, _rows(200))
    server.delay_s = 0.5
    page.get_by_role("button", name="Label 200 rows").click()
    expect(page.locator("#file-count")).to_have_text("64 of 200 rows")
    expect(page.get_by_role("progressbar", name="64 of 200 rows")).to_have_attribute("value", "64")
    page.keyboard.press("Enter")
    expect(page.locator("#file-stopped")).to_contain_text("Stopped after 64 of 200 rows.")
    server.delay_s = 0
    server.asked.clear()
    page.get_by_role("button", name="Go on").click()
    _, labelled = _download(page)
    assert labelled.count(b"positive") == 200
    assert _texts(server) == [f"good {number}" for number in range(64, 200)]


def test_busy_server_and_lost_connection(visit: Visit, server: StubServer) -> None:
    """A refusal for now is waited out; without a connection the user is asked, and the rows that are done stay."""
    page = visit(server, "/#file", troubled=True)
    _choose(page, _rows(130))
    server.troubles["/predict/batch"] = [Trouble(503, headers={"Retry-After": "1"}), Trouble(429)]
    page.locator("#file-start").click()
    expect(page.locator("#file-left")).to_have_text("The server is busy; going on in 1 s.")
    server.delay_s = 0.5
    expect(page.locator("#file-count")).to_have_text("64 of 130 rows")
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    server.delay_s = 0
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    _, labelled = _download(page)
    assert [line.split(b",")[0] for line in labelled.splitlines()[1:]] == _rows(130).splitlines()[1:]


def test_requests_stay_within_the_limits(visit: Visit) -> None:
    """Neither more texts nor more bytes than the server takes, whatever the texts are, and nothing is lost."""
    limits = Limits(body_bytes=3000, texts=16, characters=400)
    with stub_server(SINGLE, limits) as server:
        texts = ["\N{GRINNING FACE}\u0001\"good'" * (place % 40) for place in range(100)] + ["x" * 1000]
        table = io.StringIO()
        csv.writer(table).writerows([["text"], *([text] for text in texts)])
        _label(visit(server, "/#file"), table.getvalue().encode())
        assert _texts(server) == [text[:401] for text in texts]
        bodies = [body for _, body in server.asked]
        assert all(len(body["texts"]) <= 16 for body in bodies)
        assert all(len(json.dumps(body, ensure_ascii=False).encode()) <= 3000 for body in bodies)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"text\n", "The file has no rows below the names of the columns."),
        (b"", "The file has no rows below the names of the columns."),
        (b'id,text\n1,"two\nlines"\n2,a,b\n', "The row of line 4 has 3 cells where the first row has 2."),
        (b'id,text\n1,good\n2,"bad\n', "A quotation mark is opened in the row of line 3 and never closed."),
    ],
)
def test_files_that_are_no_tables(visit: Visit, server: StubServer, content: bytes, sentence: str) -> None:
    """What is wrong is said with its line, and nothing is sent."""
    page = visit(server, "/#file")
    _choose(page, content)
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator("#file-ready")).to_be_hidden()
    assert server.asked == []


def test_large_files_are_for_the_command_line(visit: Visit, server: StubServer, tmp_path: Path) -> None:
    """A file of more than 50 MB is not read, and the command that has no such bound is named."""
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(50_000_001)
    page = visit(server, "/#file")
    page.set_input_files("#file-input", tmp_path / "large.csv")
    expect(page.get_by_role("alert")).to_contain_text("forgeml predict FILE -o OUT")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("text\ncaf\xe9\n".encode("cp1252"), "It is not UTF-8, so it was read as Windows-1252."),
        (codecs.BOM_UTF16_LE + "text\ncaf\xe9\n".encode("utf-16-le"), "1 row, 1 column."),
        ("text\ncaf\xe9\n".encode(), "1 row, 1 column."),
    ],
)
def test_encodings(visit: Visit, server: StubServer, content: bytes, note: str) -> None:
    """UTF-8 and marked UTF-16 are told by their bytes; everything else is read as Windows-1252, and that is said."""
    page = visit(server, "/#file")
    _choose(page, content)
    expect(page.locator("#file-about")).to_contain_text(note)
    expect(page.locator("#file-preview td")).to_have_text(["caf\xe9"])


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("text\na, b; c\n", ""),
        ("id,text\n1,a;b\n2,c;d\n", ","),
        ("id;text\n1;a, b\n2;c\n", ";"),
        ('id\ttext\n1\t"a,\tb"\n', "\t"),
        ('id,text\n1,"' + "a;\n" * 40000 + '"\n', ","),
        ("a,b;c\n1;2\n3;4\n", ";"),
    ],
    ids=["one column", "comma", "semicolon", "tab", "a cell larger than the sample", "agreement"],
)
def test_delimiters_are_told_apart(visit: Visit, server: StubServer, text: str, delimiter: str) -> None:
    """The delimiter that gives all rows as many cells as the first one has, quotes respected."""
    find = "async (text) => (await import('/page/csv.js')).detectDelimiter(text)"
    assert visit(server).evaluate(find, text) == delimiter


def test_parser_agrees_with_the_standard_library(visit: Visit, server: StubServer) -> None:
    """Quotes, doubled quotes, line breaks inside and every kind of line end: cell by cell as Python reads them."""
    pieces = ["a", '"b,c"', '"d ""e"""', '"f\r\ng"', '"h\ni"', "", " j ", '"', 'k"l', '""']
    tables = [f"{one},{other}{end}x,y{end}" for one in pieces for other in pieces for end in ("\n", "\r\n", "\r")]
    read = """async (tables) => {
        const { CsvError, parse } = await import("/page/csv.js");
        return tables.map((table) => {
            try {
                return parse(table, ",").rows;
            } catch (error) {
                return error instanceof CsvError ? null : error.message;
            }
        });
    }"""
    found = visit(server).evaluate(read, tables)
    # Python closes an open quotation mark at the end of the file, the page refuses it.
    assert [rows is None for rows in found] == [_is_open(table) for table in tables]
    for table, rows in zip(tables, found, strict=True):
        if rows is not None:
            assert rows == [row for row in csv.reader(io.StringIO(table, newline="")) if row], table


def _is_open(table: str) -> bool:
    try:
        list(csv.reader(io.StringIO(table, newline=""), strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def test_formulas_are_those_of_the_command_line(visit: Visit, server: StubServer) -> None:
    """A cell gets an apostrophe here if and only if `forgeml predict -o` gives it one."""
    starts = ["", "=", "+", "-", "@", "\t", "\r", " ", "'"]
    ends = ["", "1", "1.5", ".5", "1e5", "1.234,56", "3%", "3 %", "+2", "2-3", "cmd|' /C calc'!A0", "A1", "--", "-"]
    ends += [
        "49 30 1234567",
        "1 (555) 010-9999",
        "(555) 010",
        "12:30",
        "1\n",
        "SUM(A1:A2)",
        "\u0661",
        "1,",
        " 5",
        "1 +1",
    ]
    cells = [start + end for start in starts for end in ends]
    ask = "async (cells) => { const { isFormula } = await import('/page/csv.js'); return cells.map(isFormula); }"
    assert visit(server).evaluate(ask, cells) == list(map(is_formula, cells))
