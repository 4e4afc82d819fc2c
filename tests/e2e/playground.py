"""What a person does on the page Playground."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def ask(page: Page, text: str, model: str = "groq/m") -> Locator:
    """Send a message to one model; the last answer on the page."""
    choose(page, model)
    return send(page, text)


def send(page: Page, text: str) -> Locator:
    """Send a message as the page is set; the last answer on it."""
    before = page.locator(".pg-answer").count()
    message(page).fill(text)
    page.keyboard.press("Enter")
    page.locator(".pg-answer").nth(before).wait_for(state="attached")
    return page.locator(".pg-answer").last


def message(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def choose(page: Page, model: str) -> None:
    page.locator('[data-pick="model"]').click()
    page.get_by_role("combobox", name="Model", exact=True).fill(model)
    page.keyboard.press("Enter")
