"""The page at /rehearsal in a real browser: it shows what /metrics tells, on screens of any size and in any light."""

import contextlib
import os
import shutil
import tempfile
import threading
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rehearsal import server
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--enable-kvcache --zmq-endpoint= --kv-cache-size 400 --block-size 8 --max-num-seqs 6 --max-model-len 512 "
    "--time-to-first-token 60ms --inter-token-latency 20ms --max-loras 2 --lora-modules sql=/a chat=/b"
).split()
# One request in five gets an error, after two tokens.
FAILURES = (
    'failure={"rules": [{"failure": {"error": {"status": 503, "message": "too much"}},'
    ' "moment": {"after-tokens": 2}, "header": {"x-tenant": "unlucky"}}]}'
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    # The last three keep it from talking to other servers.
    for flag in (
        "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1280,1400 --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync"
    ).split():
        options.add_argument(flag)
    options.add_argument("--user-data-dir=" + tempfile.mkdtemp())
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def text(browser, name):
    return browser.find_element(By.ID, name).text


def wait(browser, until, what):
    WebDriverWait(browser, 30, poll_frequency=0.1).until(lambda _: until(), what)


def number(shown):
    return float(shown.replace(",", ""))


def told(running):
    """What /metrics tells: sums of rows by the family's name, and by each label's value."""
    sums = {}
    _, page = running.request("GET", "/metrics")
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            for key in [sample.name, *(f"{sample.name} {value}" for value in sample.labels.values())]:
                sums[key] = sums.get(key, 0) + sample.value
    return sums


def shown(browser):
    """The numbers of the tables that say which metric they are, as one moment had them."""
    cells = browser.execute_script(
        "return [...document.querySelectorAll('[data-metric]')].map((cell) => [cell.dataset.metric, cell.textContent])"
    )
    return {name: number(value) for name, value in cells}


def agree(metrics, page):
    """A row that there is no reason for yet counts as 0."""
    return page and all(metrics.get(name, 0) == value for name, value in page.items())


@contextlib.contextmanager
def load(running):
    """Requests one after another in each of ten threads, until the block ends."""
    over = threading.Event()

    def ask(thread):
        at = 0
        while not over.is_set():
            at += 1
            words = " ".join(f"word{n}" for n in range(8 + 3 * (thread % 4)))
            model = ["my-model", "sql", "chat", "my-model", "my-model"][thread % 5]
            body = f'{{"model": "{model}", "prompt": "{words} {at % 3}", "max_tokens": {10 + 4 * thread}, "ignore_eos": true}}'
            headers = {"Content-Type": "application/json"} | ({"x-tenant": "unlucky"} if at % 5 == 4 else {})
            request = urllib.request.Request(f"http://127.0.0.1:{running.port}/v1/completions", body.encode(), headers)
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request).read()

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(10)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        running.request("POST", "/resume")
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def running():
    args = [*FLAGS, "--plugin-config", FAILURES]
    with server(*args, env={"VLLM_SERVER_DEV_MODE": "1"}) as running:
        yield running


def test_its_numbers_are_those_of_metrics_during_a_load(browser, running):
    browser.get(f"http://127.0.0.1:{running.port}/rehearsal")
    with load(running):
        wait(browser, lambda: text(browser, "running") == "6" and text(browser, "waiting") == "4", "it is busy")
        wait(browser, lambda: "rehearsal_injected_failures_total error" in shown(browser), "something has failed")
        # Nothing changes any more, and everything that was asked for is still there.
        running.request("POST", "/pause?mode=keep")
        metrics = told(running)
        names = ("running", "waiting")
        wait(
            browser,
            lambda: all(number(text(browser, name)) == metrics[f"vllm:num_requests_{name}"] for name in names),
            "it shows what runs",
        )
        wait(browser, lambda: agree(metrics, shown(browser)), "all is the same")
        assert number(text(browser, "cache-use").removesuffix(" %")) == pytest.approx(
            100 * metrics["vllm:kv_cache_usage_perc"], abs=0.051
        )
        assert number(text(browser, "ended")) == metrics["vllm:request_success_total"] > 0
        assert text(browser, "inter-token") in ("20 ms", "21 ms", "22 ms")
        assert "sql" in text(browser, "adapters") and "running" in text(browser, "adapters")
        assert "injected: error" in text(browser, "requests") and "length" in text(browser, "requests")
        picture = os.environ.get("PICTURES")
        if picture:
            running.request("POST", "/resume")
            time.sleep(float(os.environ.get("PICTURES_AFTER", "5")))
            browser.save_screenshot(f"{picture}/page.png")
    wait(browser, lambda: text(browser, "running") == text(browser, "waiting") == "0", "all is over")
    metrics = told(running)
    wait(browser, lambda: agree(metrics, shown(browser)), "the end is the same")


def test_it_needs_nothing_from_elsewhere_and_nothing_goes_wrong_in_it(browser, running):
    browser.get(f"http://127.0.0.1:{running.port}/rehearsal")
    wait(browser, lambda: text(browser, "link") == "live", "it is connected")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith(f"http://127.0.0.1:{running.port}/") for name in loaded), loaded
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1600])
def test_it_fits_every_screen_and_can_be_read_in_any_light(browser, running, width, light):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": light}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    try:
        browser.get(f"http://127.0.0.1:{running.port}/rehearsal")
        wait(browser, lambda: text(browser, "link") == "live", "it is connected")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels on a screen of {width}"
        colours = browser.execute_script(
            "const style = getComputedStyle(document.querySelector('.card'));"
            "const soft = getComputedStyle(document.querySelector('small'));"
            "return [style.backgroundColor, style.color, soft.color]"
        )
        card, *texts = [luminance(colour) for colour in colours]
        assert (card > 0.5) == (light == "light"), colours
        for of_text in texts:
            bright, dim = max(card, of_text), min(card, of_text)
            # What the guidelines for accessible pages ask for.
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, colours
        if folder := os.environ.get("PICTURES"):
            browser.save_screenshot(f"{folder}/page-{width}-{light}.png")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour):
    channels = [int(channel) / 255 for channel in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_browser_gives_the_key_as_a_password(browser):
    with server("--api-key", "secret") as guarded:
        browser.get(f"http://anyone:secret@127.0.0.1:{guarded.port}/rehearsal")
        wait(browser, lambda: text(browser, "link") == "live", "it is connected")


def test_an_open_page_does_not_hold_the_servers_end_up_and_says_that_it_lost_it(browser):
    with server("--shutdown-timeout", "600") as ending:
        browser.get(f"http://127.0.0.1:{ending.port}/rehearsal")
        wait(browser, lambda: text(browser, "link") == "live", "it is connected")
        ending.process.terminate()
        assert ending.process.wait(timeout=60) == 0
        wait(browser, lambda: text(browser, "link") == "no connection", "it says so")
