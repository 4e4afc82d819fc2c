/**
 * Short messages at the bottom, with Undo where something can be taken back.
 * @module
 */

import { all, find, h, icon } from "./dom.js";

const UNDO_SECONDS = 10;
const SECONDS = 5;

/**
 * @param {string} message
 * @param {{undo?: () => unknown, bad?: boolean, seconds?: number}} [options]
 *   `undo` gives a button and ten seconds to press it (Ctrl Z does the same); `bad` is for
 *   what did not work.
 * @returns {() => void} takes the message away
 */
export function toast(message, { undo, bad = false, seconds } = {}) {
  const region = find("[data-toasts]");
  if (!region) return () => {};
  const close = () => {
    clearTimeout(timer);
    document.removeEventListener("keydown", onKey);
    box.remove();
    if (!region.childElementCount && region.matches(":popover-open")) region.hidePopover();
  };
  const takeBack = () => {
    close();
    undo?.();
  };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    const types = event.target instanceof Element && event.target.closest("input, textarea");
    const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
    if (types || !isUndo || all("[data-undo]", region).at(-1) !== box) return;
    event.preventDefault();
    takeBack();
  };
  const box = h(
    "div",
    { class: "toast", data: bad ? { kind: "bad" } : {}, "data-undo": Boolean(undo) },
    h("span", null, message),
    undo && h("button", { type: "button", onclick: takeBack }, "Undo"),
    h("button", { type: "button", class: "close", "aria-label": "Dismiss", onclick: close }, icon("x")),
  );
  region.append(box);
  // In the top layer, so that an open dialog does not cover it.
  if (region.matches(":popover-open")) region.hidePopover();
  region.showPopover();
  document.addEventListener("keydown", onKey);
  let left = 1000 * (seconds ?? (undo ? UNDO_SECONDS : SECONDS));
  let since = Date.now();
  let timer = setTimeout(close, left);
  // Nothing goes away under the pointer, or while the keyboard is on it.
  const hold = () => {
    clearTimeout(timer);
    left -= Date.now() - since;
  };
  const go = () => {
    since = Date.now();
    clearTimeout(timer);
    timer = setTimeout(close, Math.max(left, 1000));
  };
  box.addEventListener("pointerenter", hold);
  box.addEventListener("pointerleave", go);
  box.addEventListener("focusin", hold);
  box.addEventListener("focusout", go);
  return close;
}
