"""The report in Chromium: it logs no error, requests nothing, and works by pointer, by keyboard and on a phone."""

import json
import shutil
import time

import pytest

from tercet._tree_errors import parent_errors
from tercet.records import RowCounts
from tercet.report.comparison_report import write_comparison_report
from tercet.report.evaluation_report import write_evaluation_report
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import write_run_report
from tests.conftest import TOPICS
from tests.report.helpers import LOG, RECORD, classified, comparison, decided, evaluated

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (_BROWSER and _DRIVER), reason="needs Chromium and chromedriver"),
]

_EVIL = "<script>document.title='run'</script><b>bold</b> & </script><!-- %{x}"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "r.html"
    sentences = [s for topic in TOPICS.values() for s in topic] * 3
    labels = [name for name, topic in TOPICS.items() for _ in topic] * 3
    sentences[0], labels = _EVIL, [label.replace("food", "<i>food</i>") for label in labels]
    found = evaluated(sentences, labels)
    found.after[0] *= -1  # far from its label, so among the hardest triplets
    write_run_report(path, RECORD, LOG, found)
    return path


@pytest.fixture(scope="module")
def chrome():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = _BROWSER
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(_DRIVER))
    yield driver
    driver.quit()


def opened(chrome, path, width=1280, height=900):
    for log in ("browser", "performance"):
        chrome.get_log(log)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(path.as_uri())
    until(lambda: chrome.execute_script(
        "return [...document.querySelectorAll('.figure')].every((box) => box.querySelector('.main-svg'))"
    ))  # fmt: skip
    return chrome


def until(found, seconds=60):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.1)
    return value


def requests(chrome):
    entries = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]
    return [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]


# The texts of the table cells that stand outside of the window.
_CUT_OFF = """
return [...document.querySelectorAll('main td, main th')]
    .filter((cell) => cell.checkVisibility() && cell.getBoundingClientRect().right > window.innerWidth)
    .map((cell) => cell.textContent);
"""


def assert_quiet_and_fitting(page, width):
    """Check that a page logs nothing and requests nothing, and that neither it nor a table cell is too wide."""
    assert [entry["message"] for entry in page.get_log("browser")] == []
    assert [url for url in requests(page) if url.startswith("http")] == []
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script(_CUT_OFF) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_it_logs_nothing_requests_nothing_and_fits(chrome, report, width):
    page = opened(chrome, report, width)
    assert [entry["message"] for entry in page.get_log("browser")] == []
    asked = requests(page)
    assert report.as_uri() in asked
    assert [url for url in asked if url != report.as_uri() and not url.startswith("data:")] == []
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    figures = page.execute_script(
        "return [...document.querySelectorAll('.figure')].map((b) => b.querySelector('.main-svg').clientWidth)"
    )
    assert page.execute_script(_CUT_OFF) == []
    legends = page.execute_script("return [...document.querySelectorAll('.legendtext')].map((t) => t.textContent)")
    assert not [name for name in legends if name.startswith("trace")]
    assert len(figures) == 6
    assert all(100 < drawn <= width for drawn in figures)


def test_a_script_in_the_data_stays_text(chrome, report):
    page = opened(chrome, report)
    assert page.title == "Training report"
    assert "<script>document.title='run'</script><b>bold</b> & </script><!--" in page.execute_script(
        "return document.body.innerText"
    )
    assert page.execute_script("return document.querySelectorAll('main b, main i').length") == 0
    legend = page.execute_script("return [...document.querySelectorAll('.legendtext')].map((t) => t.textContent)")
    assert "<i>food</i>" in legend


_PLACE = """
const box = document.querySelectorAll('.maps .figure')[arguments[0]];
const at = box._fullLayout, frame = box.getBoundingClientRect(), trace = box.data[arguments[1]];
return [frame.left + at.xaxis._offset + at.xaxis.d2p(trace.x[arguments[2]]),
        frame.top + at.yaxis._offset + at.yaxis.d2p(trace.y[arguments[2]])];
"""


@pytest.mark.parametrize("which", [0, 1])
def test_pointing_at_a_sentence_shows_it_and_its_label(chrome, report, which):
    page = opened(chrome, report)
    page.execute_script("document.querySelector('.maps').scrollIntoView()")
    traces = page.execute_script("return document.querySelector('.maps .figure').data.map((t) => [t.name, t.text])")
    (trace,) = [at for at, (_, texts) in enumerate(traces) if any("script" in text for text in texts)]
    (point,) = [at for at, text in enumerate(traces[trace][1]) if "script" in text]
    x, y = page.execute_script(_PLACE, which, trace, point)

    def shown():
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x - 1, "y": y})
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        texts = page.execute_script(
            "return [...document.querySelectorAll('.maps .figure')[arguments[0]]"
            ".querySelectorAll('.hoverlayer .hovertext')].map((t) => t.textContent)", which,
        )  # fmt: skip
        return " ".join(texts)

    text = until(shown)
    assert "<script>document.title='run'</script>" in text
    assert "<!-- %{x}" in text
    assert "sport" in text


def test_on_a_phone_the_sentence_is_shown_below_the_maps_and_all_curves_are_named(chrome, report):
    page = opened(chrome, report, 390)
    page.execute_script("document.querySelector('.maps').scrollIntoView()")
    x, y = page.execute_script(_PLACE, 0, 0, 0)
    page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x - 1, "y": y})
    page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
    read = until(lambda: page.execute_script("return document.querySelector('.pointed').textContent"))
    assert any(sentence in read for topic in TOPICS.values() for sentence in topic)
    assert page.execute_script("return document.querySelectorAll('.maps .hovertext').length") == 0
    box = page.execute_script(
        "const r = document.querySelector('.pointed').getBoundingClientRect(); return [r.x, r.right]"
    )
    assert 0 <= box[0] < box[1] <= 390
    recall = "return document.querySelectorAll('.figure')[5].querySelectorAll('.legendtext').length"
    assert page.execute_script(recall) == 2


def test_a_label_that_looks_like_a_template_stays_as_it_is(chrome, tmp_path):
    names = ["%{y}", "%{meta}", "%{customdata}", "plain"]
    write_run_report(tmp_path / "t.html", RECORD, LOG, evaluated(list("abcdefghijkl"), names * 3))
    page = opened(chrome, tmp_path / "t.html")
    legend = page.execute_script("return [...document.querySelectorAll('.maps .legendtext')].map((t) => t.textContent)")
    assert legend == sorted(names)


def test_a_label_is_chosen_by_the_keyboard_and_in_the_legend(chrome, report):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def opacities():
        return page.execute_script(
            "return [...document.querySelectorAll('.maps .figure')].map((b) => b.data.map((t) => t.marker.opacity))"
        )

    page = opened(chrome, report)
    body = page.find_element(By.TAG_NAME, "body")
    for _ in range(40):
        body.send_keys(Keys.TAB)
        if page.switch_to.active_element.tag_name == "select":
            break
    active = page.switch_to.active_element
    assert active.tag_name == "select"
    active.send_keys(Keys.ARROW_DOWN)
    until(lambda: opacities() == [[1, 0.06, 0.06, 0.06]] * 2)
    body.send_keys(Keys.TAB)  # and its sentences can be reached and read
    listed = page.execute_script("return [...document.querySelectorAll('.picked li')].map((item) => item.textContent)")
    assert sorted(listed) == sorted(TOPICS["food"] * 3)
    label = page.find_element(By.CSS_SELECTOR, ".maps .figure:last-child .legendtoggle")
    page.execute_script("document.querySelector('.maps').scrollIntoView()")
    x, y, w, h = page.execute_script(
        "const r = arguments[0].getBoundingClientRect(); return [r.x, r.y, r.width, r.height]", label
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {
            "type": kind, "x": x + w / 2, "y": y + h / 2, "button": "left", "clickCount": 1,
        })  # fmt: skip
    until(lambda: opacities() == [[0.8] * 4] * 2)  # chosen again: all are shown


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_comparison_logs_nothing_requests_nothing_and_fits(chrome, tmp_path, width, dark):
    path = tmp_path / "c.html"
    write_comparison_report(path, comparison(nasty=_EVIL), command=f"tercet compare '{_EVIL}'")
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    page = opened(chrome, path, width)
    assert_quiet_and_fitting(page, width)
    assert page.execute_script("return document.querySelectorAll('main b, main i').length") == 0
    assert page.title == "Comparison report"
    colours = page.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    assert colours == ["rgb(26, 26, 26)", "rgb(255, 255, 255)"]  # readable in dark mode too
    figures = page.execute_script("return [...document.querySelectorAll('.figure')].map((b) => b.data.length)")
    assert figures[-2:] == [4, 2]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_comparison_is_read_by_the_keyboard_and_printed(chrome, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    path = tmp_path / "c.html"
    write_comparison_report(path, comparison())
    page = opened(chrome, path)
    body, reached = page.find_element(By.TAG_NAME, "body"), []
    for _ in range(30):
        body.send_keys(Keys.TAB)
        reached.append(page.switch_to.active_element)
        if reached[-1].tag_name == "summary":
            break
    assert {"a", "div", "summary"} <= {element.tag_name for element in reached}
    reached[-1].send_keys(Keys.ENTER)  # unfold the runs
    until(lambda: page.find_element(By.CSS_SELECTOR, "details table").is_displayed())
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.find_element(By.TAG_NAME, "nav").is_displayed()
    assert page.find_element(By.CSS_SELECTOR, ".headline").is_displayed()
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("width", [1280, 390])
def test_a_matrix_of_150_labels_scrolls_in_its_box_and_is_read_by_pointing(chrome, tmp_path, width):
    record, predictions = classified([f"<b>label</b> {number}" for number in range(150)])
    write_run_report(tmp_path / "m.html", record, LOG, None, predictions=predictions)
    page = opened(chrome, tmp_path / "m.html", width)
    assert_quiet_and_fitting(page, width)
    box = page.execute_script(
        "const b = document.querySelector('.wide'); b.scrollIntoView(); const at = b.getBoundingClientRect();"
        "return [b.scrollWidth, b.clientWidth, b.scrollHeight, b.clientHeight, b.tabIndex]"
    )
    assert box[0] > 2 * box[1] or width > 390
    assert box[0] > box[1]
    assert box[2] > box[3]
    assert box[4] == 0
    cells = page.execute_script(
        "return [...document.querySelectorAll('.wide .figure')][0].data.map((trace) => trace.x.length)"
    )
    assert cells[0] >= 140  # the diagonal
    x, y = page.execute_script(
        "const f = document.querySelector('.wide .figure'), at = f._fullLayout, r = f.getBoundingClientRect();"
        "const t = f.data[0]; const k = t.y.indexOf(Math.min(...t.y));"
        "return [r.left + at.xaxis._offset + at.xaxis.d2p(t.x[k]), r.top + at.yaxis._offset + at.yaxis.d2p(t.y[k])]"
    )

    def shown():
        for dx in (-2, 0):
            page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x + dx, "y": y})
        return page.execute_script(
            "return [...document.querySelectorAll('.wide .hovertext')].map((t) => t.textContent).join(' ')"
        )

    text = until(shown)
    assert "given: <b>label</b> " in text
    assert "of 20 sentences" in text


@pytest.mark.parametrize("width", [1280, 390])
def test_a_tree_of_parents_is_folded_by_its_buttons(chrome, tmp_path, width):
    given = [f"{_EVIL}::{top}::{middle}::{leaf}" for top in "ab" for middle in "cd" for leaf in "ef"] * 2 + ["z"]
    write_evaluation_report(
        tmp_path / "t.html", model="m", data="d", reference="r", metrics={"map@r": 0.5}, protocol="against_reference",
        rows=RowCounts(rows=17, measured=17), parents=parent_errors(given, given[1:] + given[:1], "::"),
    )  # fmt: skip
    page = opened(chrome, tmp_path / "t.html", width)
    assert_quiet_and_fitting(page, width)

    def shown():
        return page.execute_script(
            "return [...document.querySelectorAll('tr[data-level]')].filter((row) => row.offsetHeight > 0)"
            ".map((row) => Number(row.dataset.level))"
        )

    def press(number):
        page.execute_script(f"document.querySelectorAll('.tree button')[{number}].click()")

    everything = shown()
    assert everything == [1, 2, 3, 3, 2, 3, 3, 1]
    press(1)
    assert shown() == [1, 2, 2, 3, 3, 1]
    press(0)
    assert set(shown()) == {1}
    press(0)
    assert shown() == [1, 2, 2, 3, 3, 1]  # Rows that were folded below stay folded.
    press(1)
    assert shown() == everything


def test_a_printed_matrix_is_whole_and_fits_the_page(chrome, tmp_path):
    record, predictions = classified([f"label {number}" for number in range(150)])
    write_run_report(tmp_path / "m.html", record, LOG, None, predictions=predictions)
    page = opened(chrome, tmp_path / "m.html", 720)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        right, bottom, box = page.execute_script(
            "const b = document.querySelector('.wide'), r = b.querySelector('.main-svg').getBoundingClientRect();"
            "return [r.right, r.height, b.getBoundingClientRect().height]"
        )
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert right <= 720
    assert bottom <= box + 1


@pytest.mark.parametrize("num_labels", [5, 1000])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_decisions_log_nothing_request_nothing_and_fit(chrome, tmp_path, width, num_labels):
    path = tmp_path / "d.html"
    judged = decided(
        [f"{_EVIL} {number}" for number in range(num_labels)], rows=2000 // num_labels, max_novelty=0.9,
        unknown=["%{y}"], sentences=[_EVIL] * (2000 + 2000 // num_labels), min_precision=0.9999,
    )  # fmt: skip
    write_evaluation_report(
        path, model=_EVIL, data=_EVIL, reference=None, metrics={"map@r": 0.5}, protocol="among_themselves",
        rows=RowCounts(rows=40, measured=40), decisions=judged, warnings=[_EVIL], command=_EVIL,
    )  # fmt: skip
    page = opened(chrome, path, width)
    assert_quiet_and_fitting(page, width)
    assert page.execute_script("return document.querySelectorAll('main b, main i').length") == 0
    assert page.title == "Evaluation report"
    assert page.execute_script("return document.querySelectorAll('.alert').length") == 2
    legends = page.execute_script("return [...document.querySelectorAll('.legendtext')].map((t) => t.textContent)")
    assert legends == ["precision of the answers", "chosen", "right", "mean confidence", "as sure as right"]
    at, drawn = page.execute_script(
        "const curve = document.querySelector('.figure'), at = curve._fullLayout, t = curve.data[1];"
        "return [at.yaxis.d2p(t.y[0]), at.yaxis._length]"
    )
    assert 0 <= at <= drawn  # the chosen point is inside of the plot
    figures = page.execute_script(
        "return [...document.querySelectorAll('.figure:not(.wide *)')]"
        ".map((b) => b.querySelector('.main-svg').clientWidth)"
    )
    assert len(figures) == 2
    assert all(100 < drawn <= width for drawn in figures)


def test_an_inspection_logs_nothing_and_requests_nothing(chrome, tmp_path, bert):
    from tercet import SentenceTransformer
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.labels.numbering import number_labels
    from tercet.inspection.inspection import inspect

    sentences = [s for topic in TOPICS.values() for s in topic] * 2
    names = [name for name, topic in TOPICS.items() for _ in topic] * 2
    sentences[0], names[1] = _EVIL, _EVIL
    data = LabelledSentences(sentences, *number_labels(names, "x"))
    model = SentenceTransformer(str(bert))
    found = inspect(data, model, source=_EVIL, batch_size=8, samples_per_label=2)
    write_inspection_report(tmp_path / "i.html", found)
    for width in (1280, 390):
        page = opened(chrome, tmp_path / "i.html", width)
        assert_quiet_and_fitting(page, width)
        assert page.title.startswith("Inspection of <script>")
        assert "trace 0" not in page.execute_script("return document.body.textContent.split('const PLOTS')[0]")
