"""The report as a reader has it: opened from disk, filtered, linked to, zoomed, on a phone, in the dark, by ear."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogue_runs import new_project
from chromium import DESKTOP, PHONE, Opener

PICTURES = Path(__file__).parents[3] / "docs" / "images"
VIEWS = {"desktop": {}, "dark": {"dark": True}, "phone": {"size": PHONE}, "zoomed": {"size": DESKTOP, "zoom": 2.0}}
RUNS = {
    "passing": ("--subject", "mine=my_block:Mine"),
    "failing": ("--subject", "mine=my_block:Mine", "--subject", "unsure=my_block:Unsure"),
}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the catalogue on a right block, and on a right and a wrong one; give the addresses of their reports."""
    project = new_project(tmp_path_factory.mktemp("project"))
    addresses = {}
    for name, subjects in RUNS.items():
        run = project.catalogue(*subjects, "--input-shape", "3,32,32", "--conformance-report", name)
        assert (name == "failing") == run.code, run.text
        addresses[name] = (project.folder / name / "index.html").as_uri()
    return addresses


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", RUNS)
def test_page_opens_without_a_complaint(name: str, view: str, pages: dict[str, str], open_page: Opener) -> None:
    """No error in the console, nothing to load, nothing wider than the window, no serious barrier – all parts open."""
    opened = open_page(pages[name], **VIEWS[view])  # type: ignore[arg-type]
    opened.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert [] == opened.complaints
    assert 0 == opened.sideways()
    assert [] == opened.barriers()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_first_screen_says_what_is_wrong_and_where(
    size: tuple[int, int], pages: dict[str, str], open_page: Opener
) -> None:
    """Without scrolling: how many fail, of which subject, where it diverges; with a desktop's window all of it."""
    page = open_page(pages["failing"], size).page
    seen = ["10 of 64 checks do not hold", "unsure diverges first in the network itself"]
    seen += ["unsure · execution.same_operators", "pytest --pyargs", "first diverging layer: node"]
    for text in seen if size == DESKTOP else seen[:2]:
        box = page.get_by_text(text).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= size[1], text


def test_filters_show_what_is_asked_for(pages: dict[str, str], open_page: Opener) -> None:
    """Outcome, subject, family and words; what is left empty is hidden, and one button shows all again."""
    page = open_page(pages["failing"]).page
    shown = page.locator("tr.result:visible")
    said = page.locator("output")
    page.get_by_label("passed (").uncheck()
    page.get_by_label("not applicable (").uncheck()
    assert (10, "10 of 64 shown") == (shown.count(), said.inner_text())
    assert not page.locator("#mine--subject").is_visible()
    page.get_by_label("Contains").fill("predict_mode FUSED")
    assert 1 == shown.count()
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.querySelector('output').textContent === '64 of 64 shown'")
    page.get_by_role("combobox", name="Subject").select_option("mine")
    page.get_by_role("combobox", name="Family").select_option("numerics")
    assert (3, "3 of 64 shown") == (shown.count(), said.inner_text())


def test_filters_can_be_passed_on(pages: dict[str, str], open_page: Opener) -> None:
    """The address has the filters; whoever opens it sees the same rows, until a link or the button asks for others."""
    page = open_page(pages["failing"]).page
    page.get_by_label("passed (").uncheck()
    page.get_by_label("not applicable (").uncheck()
    page.get_by_label("Contains").fill("predict_mode FUSED")
    other = open_page(page.evaluate("location.href")).page
    assert "1 of 64 shown" == other.locator("output").inner_text()
    assert not other.get_by_label("passed (").is_checked()
    assert "predict_mode FUSED" == other.get_by_label("Contains").input_value()
    other.get_by_role("button", name="Show all").click()
    other.wait_for_function("document.querySelector('output').textContent === '64 of 64 shown'")
    assert f"{pages['failing']}#" == other.evaluate("location.href")


def test_link_to_a_result_opens_it(pages: dict[str, str], open_page: Opener) -> None:
    """An address with a result's id opens what it is folded into, shows it and gives it the focus."""
    case = "mine-numerics.float64"
    opened = open_page(f"{pages['failing']}#{case}")
    row = opened.page.locator(f"[id='{case}']")
    assert row.is_visible()
    assert case == opened.page.evaluate("document.activeElement.id")
    box = row.bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= DESKTOP[1]
    opened.page.get_by_role("combobox", name="Subject").select_option("unsure")
    assert not row.is_visible()
    opened.page.evaluate("location.hash = '#mine-files.export_round_trip'")
    opened.page.locator("[id='mine-files.export_round_trip']").wait_for(state="visible")


def test_matrix_leads_to_the_family_by_keyboard(pages: dict[str, str], open_page: Opener) -> None:
    """Enter on a cell opens the family's checks."""
    page = open_page(pages["passing"]).page
    assert not page.locator("[id='mine-numerics.float64']").is_visible()
    page.locator("a[href='#mine--numerics']").focus()
    page.keyboard.press("Enter")
    page.locator("[id='mine-numerics.float64']").wait_for(state="visible")


def test_page_is_readable_without_scripts_and_on_paper(pages: dict[str, str], open_page: Opener) -> None:
    """Failures and matrix need no script, and paper gets no forms."""
    page = open_page(pages["failing"]).page
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
    assert page.locator("#failures").is_visible()
    context = open_page.browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(pages["failing"])
    assert plain.locator("#failures article").count() == 10
    assert not plain.locator("#filters").is_visible()


@pytest.mark.parametrize(("name", "view"), [("failing", "desktop"), ("passing", "desktop"), ("failing", "phone")])
def test_pictures_of_the_documentation_are_made(
    name: str, view: str, pages: dict[str, str], open_page: Opener, pytestconfig: pytest.Config
) -> None:
    """A picture of the first screen is made, and takes the place of the committed one if asked with --pictures."""
    page = open_page(pages[name], **VIEWS[view]).page  # type: ignore[arg-type]
    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG")
    if pytestconfig.getoption("pictures"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / f"report-{name}-{view}.png").write_bytes(picture)
