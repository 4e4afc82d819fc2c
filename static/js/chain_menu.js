/** The one menu that all rows share. */

import { all, fill, find, h, on } from "./lib/dom.js";

const ITEM = ".menu-item:not([hidden])";
const TOLD = [".can", ".left", ".speed", ".success", ".now"];

/**
 * @param {HTMLElement} holder
 * @param {(verb: string, ref: string) => unknown} act
 * @returns {() => boolean} whether it is open
 */
export function startMenu(holder, act) {
  const menu = /** @type {HTMLElement} */ (find("[data-row-menu]"));
  const said = /** @type {HTMLElement} */ (find("[data-row-said]", menu));
  /** @type {HTMLElement | null} */
  let opener = null;

  on(holder, "click", ".more", (event, button) => {
    event.preventDefault();
    if (opener === button) return menu.hidePopover();
    open(button);
  });
  on(holder, "keydown", ".more", (event, button) => {
    if (/** @type {KeyboardEvent} */ (event).key !== " ") return;
    event.preventDefault();
    open(button);
  });
  // A press on the button closes the menu before it clicks, which would open it again.
  let pressed = false;
  on(holder, "pointerdown", ".more", (_event, button) => (pressed = opener === button));

  /** @param {HTMLElement} button */
  const open = (button) => {
    if (pressed) {
      pressed = false;
      return;
    }
    menu.setAttribute("aria-label", button.getAttribute("aria-label") ?? "");
    fill(said, ...inWords(button));
    offer(menu, button.closest(".row-folded") !== null);
    menu.showPopover();
    const at = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = menu;
    const below = at.bottom + 4 + height <= innerHeight;
    menu.style.left = `${Math.max(8, at.right - width)}px`;
    menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - 4 - height)}px`;
    opener = button;
    button.setAttribute("aria-expanded", "true");
    find(ITEM, menu)?.focus();
  };

  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "open") return;
    opener?.removeAttribute("aria-expanded");
    opener = null;
  });
  on(menu, "click", "[data-verb]", (_event, item) => {
    const ref = opener?.closest(".row")?.id;
    menu.hidePopover();
    if (ref) act(item.dataset.verb ?? "", ref);
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = all(ITEM, menu);
    const place = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    items[(place + step + items.length) % items.length].focus();
  });
  // It stands where its row was.
  addEventListener("scroll", () => opener && menu.hidePopover(), { passive: true });
  return () => opener !== null;
}

/** A model that is off has no place to move from, and is turned on. @param {HTMLElement} menu @param {boolean} off */
function offer(menu, off) {
  for (const item of all(":scope > :not([data-row-said])", menu)) {
    if (!item.matches("[data-verb=on], [data-verb=off]")) item.hidden = off;
    else {
      item.dataset.verb = off ? "on" : "off";
      item.textContent = off ? "Turn on" : "Turn off";
    }
  }
}

/** What a row says under the pointer, for who has none. @param {HTMLElement} button */
function inWords(button) {
  const row = /** @type {HTMLElement} */ (button.closest(".row"));
  const name = find(".model", row)?.title || row.id;
  const texts = TOLD.map((cell) => find(cell, row)?.title).filter(Boolean);
  // In full, where the row has no room for it.
  const ref = h("span", { class: "mono" }, row.id);
  return [h("strong", null, name), ref, ...texts.map((text) => h("span", null, text))];
}
