/** Moving rows: by mouse and touch, by keyboard, and by words in a menu. */

import { all, announce, find, on } from "./lib/dom.js";
import { arrange, place, seen, shared, shown } from "./chain_list.js";

/**
 * @param {HTMLElement} holder
 * @param {{reorder: (order: string[], message: string) => unknown}} act
 */
export function startMoving(holder, { reorder }) {
  /** @type {{ref: string, before: string[]} | null} what the keyboard holds */
  let lifted = null;
  /** @type {any} */
  let sortable = null;

  /** @param {string} ref @param {string[]} order */
  const said = (ref, order) => `${ref} is at place ${order.indexOf(ref) + 1} of ${order.length}.`;

  /** @param {"top" | "up" | "down"} verb @param {string[]} refs */
  const by = (verb, refs) => {
    const order = shared(shown.order, moved(seen(), new Set(refs), verb));
    const message = refs.length === 1 ? said(refs[0], order) : `${refs.length} models were moved.`;
    return reorder(order, message);
  };

  const renew = () => {
    sortable?.destroy();
    sortable = null;
    const list = find("[data-rows]", holder);
    const Sortable = /** @type {any} */ (window).Sortable;
    if (!list || !Sortable) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    sortable = Sortable.create(list, {
      handle: ".row-handle",
      draggable: ".row",
      animation: still ? 0 : 140,
      // The browser's own dragging does without touch, and paints its own picture.
      forceFallback: true,
      fallbackTolerance: 3,
      onEnd: (/** @type {any} */ event) => {
        const there = all(".row:not([hidden])", list).map((row) => row.id);
        const order = shared(shown.order, there);
        reorder(order, said(event.item.id, order));
      },
    });
  };

  /** @param {boolean} keep */
  const drop = (keep) => {
    if (!lifted) return;
    const { ref, before } = lifted;
    lifted = null;
    mark(ref, false);
    const order = shown.order;
    shown.order = before;
    if (keep && order.join("\n") !== before.join("\n")) return reorder(order, said(ref, order));
    arrange();
    focus(ref);
    announce(`${ref} stays at ${place(ref)}.`);
  };

  on(holder, "keydown", ".row-handle", (event, handle) => {
    const { key } = /** @type {KeyboardEvent} */ (event);
    const ref = handle.closest(".row")?.id;
    if (!ref || shown.grouped) return;
    if (key === " " || (key === "Enter" && lifted)) {
      event.preventDefault();
      if (lifted) return drop(true);
      lifted = { ref, before: shown.order };
      mark(ref, true);
      announce(`${ref} is lifted, at ${place(ref)}. Move it by the arrows.`);
    } else if (lifted && (key === "ArrowUp" || key === "ArrowDown")) {
      event.preventDefault();
      const verb = key === "ArrowUp" ? "up" : "down";
      shown.order = shared(shown.order, moved(seen(), new Set([ref]), verb));
      const held = lifted;
      // Its row leaves the page for a moment, which is no leaving by the viewer.
      lifted = null;
      arrange();
      focus(ref);
      lifted = held;
      announce(`${ref}, ${place(ref)}.`);
    } else if (lifted && key === "Escape") drop(false);
  });
  on(holder, "focusout", ".row-handle", () => drop(true));

  return { by, renew };
}

/**
 * The rows after a move; several keep their order, and who is at the end stays there.
 * @param {string[]} order @param {Set<string>} refs @param {"top" | "up" | "down"} verb
 */
function moved(order, refs, verb) {
  if (verb === "top") {
    return [...order.filter((r) => refs.has(r)), ...order.filter((r) => !refs.has(r))];
  }
  const found = verb === "up" ? [...order] : [...order].reverse();
  for (let i = 1; i < found.length; i += 1) {
    if (refs.has(found[i]) && !refs.has(found[i - 1])) {
      [found[i - 1], found[i]] = [found[i], found[i - 1]];
    }
  }
  return verb === "up" ? found : found.reverse();
}

/** @param {string} ref @param {boolean} on */
function mark(ref, on) {
  const row = document.getElementById(ref);
  row?.toggleAttribute("data-lifted", on);
  if (row) find(".row-handle", row)?.setAttribute("aria-pressed", String(on));
}

/** @param {string} ref */
function focus(ref) {
  const row = document.getElementById(ref);
  const handle = row && find(".row-handle", row);
  handle?.focus();
  row?.scrollIntoView({ block: "nearest" });
}
