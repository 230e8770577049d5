"""The interface in a real browser over the whole stack: register, rate, get a list with reasons, reload, sign out."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE = {"width": 390, "height": 844}
CARD = '[class*="st-key-card-"]'
OWN = '[class*="st-key-card-own-"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on PATH; the tests of the interface need it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack) -> Iterator[Page]:
    """A tab of a fresh phone; no request may leave this machine and no script may fail."""
    context = browser.new_context(viewport=PHONE, base_url=stack.ui_url)
    page = context.new_page()
    page.set_default_timeout(20_000)
    hosts: set[str | None] = set()
    failures: list[str] = []
    context.on(
        "request", lambda request: hosts.add(urlsplit(request.url).hostname if not request.url.startswith(("data:", "blob:")) else None)
    )
    page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname))
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert hosts <= {"127.0.0.1", "localhost", None}  # None: what a page carries within itself (data:)
    assert "127.0.0.1" in hosts
    assert failures == []


def settle(page: Page) -> None:
    """Wait until the page's script has run."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def register(page: Page) -> None:
    page.goto("/")
    page.get_by_role("tab", name="Create account").click()
    page.get_by_label("Name (optional)").fill("Vera")
    page.get_by_label("E-mail").last.fill(f"vera-{time.time_ns()}@example.com")
    page.get_by_label("Password (at least").fill("a long enough password")
    page.get_by_role("button", name="Create account", exact=True).click()
    expect(page.get_by_role("heading", name="Rate five films")).to_be_visible()


def rate_five(page: Page) -> None:
    for count in range(1, 6):
        settle(page)
        page.locator(CARD).nth(count).get_by_role("radio", name="5 out of 5 stars").click()
        if count < 5:
            expect(page.get_by_text(f"{count} of 5", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Made for you, Vera")).to_be_visible()


def yielded(stack) -> Counter[str]:
    """What the click-through report counts so far."""
    with httpx2.Client(base_url=f"{stack.api_url}/api/v1", timeout=20) as client:
        token = client.post("/auth/token", data={"username": stack.admin_email, "password": stack.admin_password}).json()
        told = client.get("/reports/click-through", headers={"Authorization": f"Bearer {token['access_token']}"}).json()["data"]
    return Counter({name: sum(row[name] for row in told) for name in ("impressions", "clicks", "conversions")})


def fits(page: Page) -> bool:
    """Whether nothing is wider than the phone."""
    widths = "() => [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth - e.clientWidth)"
    return page.evaluate(widths) == [0, 0]


def test_a_visitor_registers_rates_stays_signed_in_and_signs_out(page):
    register(page)
    assert fits(page)
    rate_five(page)
    assert fits(page)
    expect(page.locator(OWN).first).to_be_visible()
    reasons = page.locator(f"{OWN} .mq-reason").all_inner_texts()
    assert len(reasons) >= 20
    assert any(re.fullmatch(r"Because you watched .+", reason) for reason in reasons)
    unknown = [reason for reason in reasons if not re.fullmatch(r"(Because you watched|More in) .+|New this month|Popular now", reason)]
    assert unknown == []

    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["marquee_session"]["httpOnly"]
    assert cookies["marquee_session"]["sameSite"] == "Lax"
    assert "ticket" not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Made for you, Vera")).to_be_visible()

    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("tab", name="Sign in")).to_be_visible()
    assert "marquee_session" not in {cookie["name"] for cookie in page.context.cookies()}
    page.context.add_cookies([cookies["marquee_session"]])  # a cookie that was copied before is worthless now
    page.reload()
    expect(page.get_by_role("tab", name="Sign in")).to_be_visible()


def test_the_list_changes_with_a_click_which_is_reported(page, stack):
    before = yielded(stack)
    register(page)
    rate_five(page)
    settle(page)
    first = page.locator(f"{OWN} h2").first.inner_text()
    page.locator(OWN).first.get_by_role("button", name=f"Like {first}").click()
    expect(page.get_by_test_id("stToast")).to_contain_text(f"You like {first}")
    expect(page.locator(f"{OWN} h2").first).not_to_have_text(first)
    settle(page)
    told = yielded(stack) - before
    assert told["impressions"] >= 24
    assert (told["clicks"], told["conversions"]) == (1, 1)
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("listitem").first).to_contain_text(f"You like {first}")
    assert fits(page)


def test_a_task_is_followed_until_it_is_done(page):
    register(page)
    page.get_by_role("link", name="Tasks").click()
    page.get_by_role("button", name="Compute my list now").click()
    expect(page.locator(".mq-chip").first).to_have_text(re.compile("Done"))
    assert fits(page)
    page.get_by_role("link", name="Browse").click()
    expect(page.locator(CARD).first).to_be_visible()
    assert fits(page)
    page.get_by_label("Title contains").fill("no film is called this")
    page.get_by_label("Title contains").press("Enter")
    expect(page.get_by_role("heading", name="Nothing by that name")).to_be_visible()


def test_two_tabs_of_one_sign_in_reload_together(page):
    register(page)
    other = page.context.new_page()
    other.goto("/tasks")
    for _ in range(3):
        for tab in (page, other):
            tab.evaluate("() => { location.reload(); }")
        expect(page.get_by_role("heading", name="Rate five films")).to_be_visible()
        expect(other.get_by_role("heading", name="Tasks")).to_be_visible()


def test_a_wrong_password_is_said_in_one_sentence(page, stack):
    page.goto("/tasks")
    page.get_by_label("E-mail").first.fill(stack.admin_email)
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("That e-mail and password do not belong together.")
    page.get_by_label("Password", exact=True).fill(stack.admin_password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("button", name="Train a model")).to_be_visible()
