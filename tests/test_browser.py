"""The pages as a browser lays them out: nothing runs over, nothing fails, nothing is fetched.

A headless Chromium opens a copy of each page inside a frame of the width that is asked for, so that the measure
does not depend on how narrow a window may be. A script in the wrapper looks at what was laid out and writes what
it found where ``--dump-dom`` shows it. The pages themselves hold no script.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.acquiring import newcomers
from forecast.cli import main
from forecast.reports.wording import count, money

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE, NARROW, PAPER = 1280, 390, 794  # a desk, a phone, A4 at 96 dots an inch

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")

WRAPPER = """<!DOCTYPE html><html><head><meta charset="utf-8"><style>body {{ margin: 0 }}</style></head><body>
<iframe id="page" srcdoc="{page}" style="border: 0; width: {width}px; height: 1200px"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", event => {{
  const inside = event.target.contentWindow, page = inside.document, room = page.documentElement.clientWidth;
  const named = one => one.tagName.toLowerCase() + "." + one.className + ": " + one.textContent.trim().slice(0, 40);
  const all = [...page.body.querySelectorAll("*")];
  const wide = all.filter(one => !one.parentElement.closest(".scroll") && one.getBoundingClientRect().right > room + 1);
  const cut = [...page.querySelectorAll(".key, .key *, figure, figcaption, .facts *, h1, h2, h3, p, li, dt, dd")]
    .filter(one => one.scrollWidth > one.clientWidth + 1 && inside.getComputedStyle(one).display !== "inline");
  const broken = [...page.images].filter(one => !one.complete || one.naturalWidth === 0);
  document.getElementById("found").textContent = JSON.stringify({{
    width: inside.innerWidth, content: page.documentElement.scrollWidth, height: page.documentElement.scrollHeight,
    wide: wide.map(named), cut: cut.map(named), broken: broken.length, errors: inside.found_errors || 0,
    images: [...page.images].map(one => one.alt), text: page.body.innerText,
    columns: inside.getComputedStyle(page.querySelector(".facts") || page.body).gridTemplateColumns.split(" ").length,
    fetched: inside.performance.getEntriesByType("resource").map(one => one.name)
      .filter(name => !name.startsWith("data:")),
  }});
}});
</script></body></html>
"""
COUNTING = """<script>
window.found_errors = 0;
window.addEventListener("error", () => { window.found_errors += 1; }, true);
console.error = () => { window.found_errors += 1; };
</script>"""


def browser(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A browser of its own, which fetches nothing and leaves nothing."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-extensions", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", "--virtual-time-budget=10000", *options,
    ]  # fmt: skip
    own = {**os.environ, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=own)


def measure(page: str, width: int, folder: Path) -> dict[str, Any]:
    """What a browser shows of a page in a frame of this width."""
    copy = folder / f"measured-{width}.html"
    counted = page.replace("<head>", f"<head>{COUNTING}", 1)
    copy.write_text(WRAPPER.format(page=html.escape(counted), width=width), encoding="utf-8")
    done = browser(folder, "--dump-dom", f"--window-size={max(width, 500) + 40},1300", copy.as_uri())
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    found["errors"] += len(re.findall(r"CONSOLE.*(?:Uncaught|Refused|Failed)", done.stderr))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def cdnow(folder: Path) -> forecast.Orders:
    frame = forecast.cdnow()
    channel = np.where(frame["customer_id"].str[-1].isin(list("0123")), "web", "stores of the high street")
    frame.assign(channel=channel).to_csv(folder / "orders.csv", index=False)
    return forecast.read_orders(folder / "orders.csv", currency="USD")


@pytest.fixture(scope="module")
def review(folder: Path, cdnow: forecast.Orders) -> forecast.Comparison:
    """A closed cohort, two quarters settled."""
    for end, quarter in (("1997-12-31", "1998Q1"), ("1998-03-31", "1998Q2")):
        model = forecast.fit(cdnow, end, purchases="bg-nbd", by="channel").save(folder / "models" / "shop")
        forecast.issue(
            model, cdnow, 1, as_of=end, ledger=folder / "ledger", by="channel", plan="none", draws=100
        )
        found = forecast.compare(cdnow, ledger=folder / "ledger", quarter=quarter)
    return found


@pytest.fixture(scope="module")
def open_shop(folder: Path) -> forecast.Comparison:
    """A shop that wins customers every day."""
    rng = np.random.default_rng(3)
    born = np.sort(rng.integers(0, 730, 1500))
    many = rng.geometric(0.45, 1500)
    who = np.repeat(np.arange(1500), many)
    first = np.concatenate([[0], np.cumsum(many)[:-1]])
    gap = rng.exponential(70.0, len(who)).round()
    gap[first] = 0
    day = born[who] + gap
    frame = pd.DataFrame({
        "customer_id": np.char.mod("c%05d", who),
        "order_date": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.minimum(day, 730), "D"),
        "value": rng.gamma(4.0, 250.0, len(who)).round(2) + 1,
    })  # fmt: skip
    orders = forecast.read_orders(frame, currency="EUR")
    model = forecast.fit(orders, "2025-09-30", purchases="bg-nbd").save(folder / "models" / "open")
    forecast.issue(model, orders, 1, as_of="2025-09-30", ledger=folder / "open", draws=100)
    return forecast.compare(orders, ledger=folder / "open")


@pytest.fixture(scope="module")
def pages(
    folder: Path, cdnow: forecast.Orders, review: forecast.Comparison, open_shop: forecast.Comparison
) -> dict[str, tuple[str, list[str]]]:
    """Each page, and the numbers that must be read on it."""
    models = folder / "models"
    files = {name: folder / f"{name}.html" for name in ("review", "open shop", "newcomers", "scores")}
    review.to_html(files["review"])
    open_shop.to_html(files["open shop"])
    (folder / "spend.csv").write_text("period,channel,spend\n1997-01,web,9000\n1997-02,web,11000\n")
    (folder / "plan.csv").write_text("period,channel,customers\n1998Q3,web,1200\n")
    told = newcomers(
        "shop", models=models, out=files["newcomers"], plan=folder / "plan.csv", spend=folder / "spend.csv",
        margin=0.4, what_if_texts=["retention=5%", "basket=10%"],
    )  # fmt: skip
    few = pd.read_csv(folder / "orders.csv", dtype={"customer_id": str})
    few[few["customer_id"] < "01000"].to_csv(folder / "few.csv", index=False)
    command = [
        "score",
        str(folder / "few.csv"),
        "--currency",
        "USD",
        "--model",
        "shop",
        "--models",
        str(models),
    ]
    assert main([*command, "--out", str(files["scores"]), "--quiet"]) == 0
    whole = told.data["newcomers"][0]
    scored = forecast.load(models / "shop").score(forecast.read_orders(folder / "few.csv", currency="USD"))
    assert 50 < len(scored) < 500
    keys = {
        "newcomers": [f"{whole['expected_value']:,.2f}", "1,200"],
        "scores": [f"{len(scored):,}", "00004", f"{scored['expected_purchases'].sum():,.0f}"],
    }
    for name, own in (("review", review), ("open shop", open_shop)):
        value, purchases = own.line("value"), own.line("purchases")
        keys[name] = [money(value["forecast"]), money(value["actual"]), count(purchases["actual"])]
    return {name: (file.read_text(encoding="utf-8"), keys[name]) for name, file in files.items()}


@pytest.mark.parametrize("width", [WIDE, NARROW, PAPER])
@pytest.mark.parametrize("name", ["review", "open shop", "newcomers", "scores"])
def test_a_page_fits_and_says_its_numbers(
    name: str, width: int, pages: dict[str, tuple[str, list[str]]], tmp_path: Path
) -> None:
    page, keys = pages[name]
    found = measure(page, width, tmp_path)
    assert found["width"] == width
    assert found["content"] <= width
    assert found["wide"] == []
    assert found["cut"] == []
    assert found["errors"] == 0
    assert found["broken"] == 0
    assert found["fetched"] == []
    assert all(found["images"])
    for key in keys:
        assert key in found["text"], key


@pytest.mark.parametrize("name", ["review", "open shop", "newcomers", "scores"])
def test_a_page_asks_the_network_for_nothing_and_prints(
    name: str, pages: dict[str, tuple[str, list[str]]], tmp_path: Path
) -> None:
    page, _ = pages[name]
    assert not re.search(
        r"<script|<link|@import|(?:src|srcset|href|action)\s*=\s*[\"']?\s*(?:https?:)?//", page
    )
    assert not re.search(r"url\(\s*[\"']?\s*(?:https?:)?//", page)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    paper = tmp_path / "page.pdf"
    browser(tmp_path, f"--print-to-pdf={paper}", (tmp_path / "page.html").as_uri())
    assert paper.read_bytes()[:5] == b"%PDF-"
    assert paper.stat().st_size > 20_000


def test_the_measure_sees_what_is_wrong(pages: dict[str, tuple[str, list[str]]], tmp_path: Path) -> None:
    page, _ = pages["review"]
    bad = """<div class="bar" style="width: 2000px">too wide</div>
    <dl class="keys"><div class="key" style="width: 60px"><dd class="number" style="white-space: nowrap">USD 1,234,567.89</dd></div></dl>
    <img src="data:image/png;base64,AAAA" alt="">
    <script>console.error("lost"); throw new Error("broken");</script>"""
    found = measure(page.replace("<main>", f"<main>{bad}", 1), NARROW, tmp_path)
    assert found["width"] == NARROW
    assert found["content"] >= 2000
    assert any(one.startswith("div.bar") for one in found["wide"])
    assert any("USD 1,234,567.89" in one for one in found["cut"])
    assert found["errors"] >= 2
    assert found["broken"] == 1
    assert not all(found["images"])


def test_the_measure_sees_a_phone(pages: dict[str, tuple[str, list[str]]], tmp_path: Path) -> None:
    page, _ = pages["review"]
    phone, desk = (measure(page, width, tmp_path) for width in (NARROW, WIDE))
    assert phone["columns"] == 2  # as the style sheet says below 600 px
    assert desk["columns"] > phone["columns"]
    assert phone["height"] > desk["height"]
