"""The page in a real browser, opened from the disk: no error, no request, every control by mouse, key and touch."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from selenium import webdriver
from tiny_run import IMAGE, STUDENT

# [contrast of WCAG 2, text] of every text in the page
CONTRASTS = """
const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
const light = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).map((part) => linear(part / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  const color = getComputedStyle(node).backgroundColor;
  return color === "rgba(0, 0, 0, 0)" ? behind(node.parentElement) : color;
};
const texts = document.querySelectorAll("p, dt, dd, small, th, td, button, label, a, .chart text");
return [...texts].filter((node) => node.textContent.trim() && !node.closest(".pane, .skip, .hidden")).map((node) => {
  const style = getComputedStyle(node);
  const ink = light(node.closest("svg") ? style.fill : style.color);
  const paper = light(behind(node.closest("svg")?.parentElement ?? node));
  return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), node.textContent.slice(0, 40)];
});
"""


@pytest.fixture(scope="module")
def driver():
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    service = shutil.which("chromedriver")
    if browser is None or service is None:
        pytest.skip("system: needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--force-prefers-reduced-motion"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    yield found
    found.quit()


class Page:
    """The opened page, with what tests do to it."""

    def __init__(self, driver, path):
        self.driver = driver
        self.address = path.as_uri()
        self.open()

    def open(self, width=1440, scheme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(self.address)
        self.wait("return document.querySelectorAll('#viewer canvas').length > 0")
        self.driver.get_log("browser")

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, code):
        for _ in range(100):
            if self.js(code):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {code}")

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def press(self, text):
        button = next(button for button in self.all("button") if button.text == text)
        self.js("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def column(self, table, number):
        return [row.text.split("\n")[0] for row in self.all(f"{table} tbody tr > *:nth-child({number})")]


@pytest.fixture
def page(driver, finished):
    return Page(driver, finished / "results" / "tiny" / "report.html")


def send(element, *keys):
    from selenium.webdriver.common.keys import Keys

    element.send_keys(*(getattr(Keys, key, key) for key in keys))


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_an_error_or_a_request(page, width, scheme):
    page.driver.get_log("performance")
    page.open(width, scheme)
    time.sleep(0.5)
    assert page.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in urls if not url.startswith("data:")} == {page.address}
    assert page.js("return document.documentElement.scrollWidth") <= width, "nothing sticks out"
    background = page.js("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) / 3
    assert (brightness < 60) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(page, scheme):
    page.open(scheme=scheme)
    ratios = page.js(CONTRASTS)
    assert len(ratios) > 60
    assert [found for found in ratios if found[0] < 4.5] == []


def test_the_divider_moves_by_mouse_key_and_touch(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    divider = page.one(".divider")
    page.js("arguments[0].scrollIntoView({block: 'center'})", divider)

    def place():
        return int(divider.get_attribute("aria-valuenow"))

    assert place() == 50
    ActionChains(page.driver).click_and_hold(divider).move_by_offset(100, 0).release().perform()
    moved = place()
    assert moved > 55
    send(divider, "ARROW_LEFT", "ARROW_LEFT")
    assert place() == moved - 4
    send(divider, "HOME")
    assert place() == 0
    finger = ActionBuilder(page.driver, mouse=PointerInput("touch", "finger"))
    finger.pointer_action.move_to(divider).pointer_down().move_to(page.one(".pane canvas")).pointer_up()
    finger.perform()
    assert 45 <= place() <= 55, "the middle of the image"


def test_the_slider_shows_left_of_it_one_and_right_of_it_the_other(page):
    page.driver.find_element("xpath", "//label[starts-with(., 'Left')]/select").send_keys("LR")
    page.wait("return document.querySelector('.side.left b').textContent === 'LR'")
    look = "return document.querySelector('.pane canvas').toDataURL()"
    send(page.one(".divider"), "END")
    left = page.js(look)
    send(page.one(".divider"), "HOME")
    right = page.js(look)
    page.driver.find_element("xpath", "//label[starts-with(., 'Right')]/select").send_keys("LR")
    page.wait("return document.querySelector('.side.right b').textContent === 'LR'")
    assert page.js(look) == left != right, "LR is LR on both sides"


def test_zoom_and_pan_are_shared_by_all_panes(page):
    page.press("Side by side")
    canvases = page.all(".pane canvas")
    assert len(canvases) == 5, "LR, bicubic, two arms, HR"
    look = "return [...document.querySelectorAll('.pane canvas')].map((c) => c.toDataURL())"
    before = page.js(look)
    send(canvases[1], "+", "+")
    zoomed = page.js(look)
    send(canvases[3], "ARROW_RIGHT")
    panned = page.js(look)
    for one, other, last in zip(before, zoomed, panned, strict=True):
        assert len({one, other, last}) == 3
    send(canvases[0], "0")
    assert page.js(look) == before


def test_the_difference_of_equal_versions_is_none_and_has_a_scale(page):
    page.press("Difference")
    assert "Absolute difference of luma" in page.one("#viewer").text
    assert "32 levels of 255 or more" in page.one("#viewer").text
    page.driver.find_element("xpath", "//label[starts-with(., 'Second')]/select").send_keys(STUDENT)
    page.wait("return document.querySelector('#viewer').textContent.includes('is 0.00 levels')")


def test_tables_sort_up_and_down(page):
    page.press("PSNR")
    falling = page.column("#results", 2)
    page.press("PSNR")
    assert falling == sorted(falling, reverse=True) and page.column("#results", 2) == falling[::-1]
    head = next(head for head in page.all("#results th") if head.text.startswith("PSNR"))
    assert head.get_attribute("aria-sort") == "ascending"


def test_an_image_is_chosen_from_its_scores(page):
    names = page.column("#per-image", 1)
    assert set(names) == {IMAGE, "coffee"}
    gaps = [abs(float(text.replace("\u2212", "-").replace("\u00b1", ""))) for text in page.column("#per-image", 2)]
    assert gaps == sorted(gaps, reverse=True), "the largest difference first"
    page.press(names[1])
    page.wait(f"return document.querySelector('.where b')?.textContent === {json.dumps(names[1])}")


def test_points_and_curves_tell_their_numbers_to_the_keyboard(page):
    point = page.all("#tradeoff-chart [role=img]")[0]
    page.js("arguments[0].focus()", point)
    tip = page.one("#tradeoff-chart .tip")
    assert tip.is_displayed() and STUDENT in tip.text and "PSNR" in tip.text
    chart = page.one("#curves .chart > svg")
    page.js("arguments[0].focus()", chart)
    send(chart, "HOME")
    first = page.one("#curves .tip").text
    send(chart, "ARROW_RIGHT")
    assert first.startswith("iteration 4") and page.one("#curves .tip").text.startswith("iteration 8")


def test_curves_are_chosen_smoothed_and_hidden(page):
    page.driver.find_element("xpath", "//label[starts-with(., 'Show')]/select").send_keys("Gradient ratios")
    titles = [title.text for title in page.all("#curves h4")]
    assert "VID / vid" in titles and "Imitation / imitation" in titles
    page.press("teacher")
    assert "Imitation / imitation" not in [title.text for title in page.all("#curves h4")]


def test_few_points_are_drawn_as_they_are(page):
    assert page.js("return document.querySelector('#curves output').textContent") == "0"


def test_the_scores_of_every_image_are_not_clipped_on_a_wide_page(page):
    assert (
        page.js(
            "const region = document.querySelector('#images .scroll'); return region.scrollWidth - region.clientWidth"
        )
        == 0
    )


def test_the_theme_can_be_chosen(page):
    page.one("#theme").click()
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    page.one("#theme").click()
    assert page.js("return document.documentElement.dataset.theme") == "light"
