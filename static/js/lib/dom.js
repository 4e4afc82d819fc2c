/**
 * Making and finding elements. Data becomes text, never markup.
 * @module
 */

/**
 * @typedef {string | number | Node | null | undefined | false | Child[]} Child
 */

/**
 * An element: `h("button", {class: "button", onclick: save, "aria-label": "Save"}, "Save")`.
 * `on*` are listeners, `data` and `style` take objects, true and false set or leave out an
 * attribute, `null` leaves it out; everything else is an attribute.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Node} parent
 * @param {Child[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(document.createTextNode(String(child)));
    }
  }
}

/**
 * Put other children in the place of an element's own.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * The first element that matches, typed by the caller.
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {HTMLElement | null}
 */
export function find(selector, root = document) {
  return root.querySelector(selector);
}

/**
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {HTMLElement[]}
 */
export function all(selector, root = document) {
  return [...root.querySelectorAll(selector)];
}

/**
 * Listen on `root` for an event on whatever matches now or later.
 * @param {EventTarget} root
 * @param {string} type
 * @param {string} selector
 * @param {(event: Event, target: HTMLElement) => void} handler
 */
export function on(root, type, selector, handler) {
  root.addEventListener(type, (event) => {
    const target = event.target instanceof Element ? event.target.closest(selector) : null;
    if (target) handler(event, /** @type {HTMLElement} */ (target));
  });
}

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("../../icons.svg", import.meta.url).pathname;

/**
 * A drawing from `static/icons.svg`; silent to screen readers.
 * @param {string} name
 * @param {number} [size] pixels
 * @returns {SVGElement}
 */
export function icon(name, size = 16) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", String(size));
  svg.setAttribute("height", String(size));
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A state as a shape and its word, as the macro `state` makes it.
 * @param {"healthy" | "limited" | "invalid" | "error" | "unknown" | "off"} kind
 * @param {string} word
 * @returns {HTMLElement}
 */
export function state(kind, word) {
  return h("span", { class: "state", data: { state: kind } }, word);
}

/**
 * A bar with its text, as the macro `meter` makes it.
 * @param {number} share of 1
 * @param {Child} text
 * @param {string} [kind] a state that colours it
 * @returns {HTMLElement}
 */
export function meter(share, text, kind) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", "88");
  svg.setAttribute("height", "6");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("width", `${Math.max(0, Math.min(1, share)) * 100}%`);
  rect.setAttribute("height", "6");
  svg.append(rect);
  return h("span", { class: "meter", data: kind ? { state: kind } : {} }, svg, h("span", null, text));
}

/**
 * Say something to screen readers alone, such as where a row has moved to.
 * @param {string} text
 */
export function announce(text) {
  const region = find("[data-announcer]");
  if (!region) return;
  region.textContent = "";
  // A region that is filled in the same turn in which it was emptied is not read again.
  setTimeout(() => (region.textContent = text), 50);
}

/**
 * Copy to the clipboard, also where the browser has none for plain HTTP.
 * @param {string} text
 * @returns {Promise<boolean>} whether it worked
 */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused by the browser; the old way below needs no permission.
    }
  }
  const holder = /** @type {HTMLTextAreaElement} */ (
    h("textarea", { class: "for-readers", readonly: true, "aria-hidden": "true" })
  );
  holder.value = text;
  const place = document.querySelector("dialog[open]") ?? document.body;
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  place.append(holder);
  holder.select();
  const done = document.execCommand("copy");
  holder.remove();
  before?.focus();
  return done;
}
