/** Choosing several rows, and doing one thing with all of them. */

import { all, announce, find, on } from "./lib/dom.js";
import { shown } from "./chain_list.js";

/** @typedef {HTMLInputElement} Box */

/** @param {HTMLElement} box */
const isFolded = (box) => box.closest(".row-folded") !== null;

/**
 * @param {HTMLElement} page
 * @param {(verb: any, refs: string[]) => unknown} act
 */
export function startChoosing(page, act) {
  const bar = /** @type {HTMLElement} */ (find("[data-selected]", page));
  const word = /** @type {HTMLElement} */ (find("[data-chosen]", page));
  const button = /** @type {HTMLElement} */ (find("[data-select]", page));
  const off = /** @type {HTMLElement} */ (find("[data-many=off]", bar));
  const offWord = /** @type {HTMLElement} */ (find("span", off));
  /** On a phone, where check boxes take the place of the handles meanwhile. */
  let selecting = false;
  /** @type {Box | null} the box that was used last */
  let last = null;

  /** The refs of the chosen models: of those that are asked in their order, and of those that are off. */
  const chosen = () => {
    const boxes = all(".row .row-check:checked", page);
    const idOf = (/** @type {HTMLElement} */ box) => box.closest(".row")?.id ?? "";
    const refs = new Set(boxes.map(idOf));
    return {
      asked: shown.order.filter((ref) => refs.has(ref)),
      off: boxes.filter(isFolded).map(idOf),
      unseen: boxes.filter((box) => box.closest(".row[hidden]")).length,
    };
  };

  const tell = () => {
    const { asked, off: dark, unseen } = chosen();
    const many = asked.length + dark.length;
    const text = many === 1 ? "1 model chosen" : `${many} models chosen`;
    word.textContent = many || !selecting ? text + (unseen ? `, ${unseen} of them not in sight` : "") : "Choose models";
    const turnsOn = many > 0 && !asked.length;
    offWord.textContent = turnsOn ? "Turn on" : "Turn off";
    off.dataset.many = turnsOn ? "on" : "off";
    for (const one of all("[data-many]:not([data-many=none])", bar)) {
      one.setAttribute("aria-disabled", String(one === off ? !many : !asked.length));
    }
    open(selecting || many > 0);
  };

  /** @param {boolean} yes */
  const open = (yes) => {
    if (bar.hidden !== yes) return;
    const held = bar.contains(document.activeElement);
    bar.hidden = !yes;
    document.documentElement.toggleAttribute("data-choosing", yes);
    if (!held) return;
    const next = [last, button, find("[data-search]", page)].find((one) => one?.checkVisibility());
    next?.focus({ preventScroll: true });
  };

  /** @param {boolean} yes */
  const select = (yes) => {
    selecting = yes;
    page.toggleAttribute("data-selecting", yes);
    button.setAttribute("aria-pressed", String(yes));
    if (!yes) for (const box of all(".row-check:checked", page)) /** @type {Box} */ (box).checked = false;
    tell();
  };

  on(page, "click", "[data-select]", () => {
    select(!selecting);
    announce(selecting ? "Choose models by their check boxes." : "Nothing is chosen.");
  });
  // The whole card is the target of a finger.
  on(page, "click", ".row", (event, row) => {
    const target = /** @type {Element} */ (event.target);
    if (selecting && !target.closest("button, a, input")) find(".row-check", row)?.click();
  });
  on(page, "click", ".row .row-check", (event, box) => {
    if (/** @type {MouseEvent} */ (event).shiftKey && last) fill(last, /** @type {Box} */ (box));
  });
  on(page, "change", ".row-check", (_event, element) => {
    const box = /** @type {Box} */ (element);
    const family = box.closest(".family-head")?.parentElement;
    for (const own of family ? all(".row:not([hidden]) .row-check", family) : []) {
      /** @type {Box} */ (own).checked = box.checked;
    }
    last = box;
    tell();
    announce(bar.hidden ? "Nothing is chosen." : `${word.textContent}. Press Enter for what can be done.`);
  });
  on(page, "keydown", ".row-check", (event) => {
    const { key } = /** @type {KeyboardEvent} */ (event);
    if (key === "Enter" && !bar.hidden) find("[data-many]:not([aria-disabled=true])", bar)?.focus();
  });
  page.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || bar.hidden) return;
    const target = /** @type {Element} */ (event.target);
    if (bar.contains(target) || target.matches(".row-check")) select(false);
  });
  on(bar, "click", "[data-many]", (_event, pressed) => {
    const verb = pressed.dataset.many;
    if (verb === "none") return select(false);
    if (pressed.getAttribute("aria-disabled") === "true") return;
    const refs = chosen();
    act(verb, verb === "on" ? refs.off : refs.asked);
  });
  page.addEventListener("arranged", tell);
}

/** All from one box to another are as the second one now is. @param {Box} from @param {Box} to */
function fill(from, to) {
  const boxes = all(".row:not([hidden]) .row-check");
  const [start, end] = [boxes.indexOf(from), boxes.indexOf(to)].sort((a, b) => a - b);
  if (start < 0) return;
  for (const box of boxes.slice(start, end + 1)) /** @type {Box} */ (box).checked = to.checked;
}
