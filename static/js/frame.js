/** What every page with the frame does: menus, theme, search, the live pill, times. */

import { all, copy, find, on } from "./lib/dom.js";
import { number, tokens } from "./lib/format.js";
import { poll, tellTimes } from "./lib/live.js";
import { openPalette } from "./lib/palette.js";
import { setTheme, theme } from "./lib/theme.js";
import { toast } from "./lib/toast.js";

const PILL_SECONDS = 15;
/** From here on a phone has no room for the number in full. */
const MANY = 10_000;
const LOW = 0.2;
const VERY_LOW = 0.05;

// Menus are <details>: they open without a script, and with one they close as menus do.
document.addEventListener("click", (event) => {
  for (const menu of all("details.menu[open]")) {
    const inside = event.target instanceof Node && menu.contains(event.target);
    const chosen = event.target instanceof Element && event.target.closest(".menu-item");
    if (!inside || chosen) menu.removeAttribute("open");
  }
});
document.addEventListener("keydown", (event) => {
  const menu = find("details.menu[open]");
  if (!menu) return;
  const items = all(".menu-item", menu);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    menu.removeAttribute("open");
    find("summary", menu)?.focus();
  } else if (step && items.length) {
    event.preventDefault();
    items[(at + step + items.length) % items.length].focus();
  }
});

on(document, "click", "[data-theme-choice]", (_event, button) => {
  setTheme(/** @type {"light" | "dark" | "system"} */ (button.dataset.themeChoice));
});
function markTheme() {
  for (const button of all("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme()));
  }
}
document.addEventListener("themechange", markTheme);
markTheme();

on(document, "click", "[data-find]", openPalette);

// <button data-copy="text"> and <button data-copy-from="#selector">.
on(document, "click", "[data-copy], [data-copy-from]", async (_event, button) => {
  const from = button.dataset.copyFrom && find(button.dataset.copyFrom);
  const done = await copy(from ? (from.textContent ?? "") : (button.dataset.copy ?? ""));
  toast(done ? "Copied." : "The browser did not allow it. Select the text and copy it.", { bad: !done });
});

/**
 * @typedef {object} Today as `/api/quota` gives it
 * @property {number} requests_left
 * @property {number} requests_used
 * @property {number} tokens_left
 * @property {number} requests_unlimited
 */

/** @param {{today: Today}} quota */
function showPill({ today }) {
  const pill = find("[data-pill]");
  const long = pill && find(".pill-long", pill);
  const short = pill && find(".pill-short", pill);
  if (!pill || !long || !short) return;
  const sum = today.requests_left + today.requests_used;
  const share = today.requests_unlimited || !sum ? 1 : today.requests_left / sum;
  pill.dataset.state = share <= VERY_LOW ? "invalid" : share <= LOW ? "limited" : "healthy";
  const left = [
    today.requests_left && `${number(today.requests_left)} requests`,
    today.tokens_left && `${tokens(today.tokens_left)} tokens`,
  ].filter(Boolean);
  const none = today.requests_unlimited ? "No daily cap" : sum ? "Nothing left today" : "No keys yet";
  long.textContent = left.length ? `${left.join(" · ")} left today` : none;
  const few = today.requests_left < MANY ? number : tokens;
  short.textContent = today.requests_left ? `${few(today.requests_left)} requests` : (left[0] ?? none);
}

// No provider is called "-", so the answer holds the sums alone.
if (find("[data-pill]")) poll("/api/quota?provider=-", PILL_SECONDS, showPill);

tellTimes();
setInterval(() => document.hidden || tellTimes(), 1000);

for (const message of all("[data-flash]")) toast(message.textContent ?? "", { seconds: 8 });
