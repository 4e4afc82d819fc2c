/** Moving rows: by mouse and touch, by keyboard, and by words in a menu. */

import { all, announce, find, on } from "./lib/dom.js";
import { arrange, byFamily, families, place, seen, seenFamilies, shared, shown } from "./chain_list.js";

const MANY = 60;
const WORDS = { top: "to the top", up: "up", down: "down", bottom: "to the bottom" };
/** @typedef {keyof typeof WORDS} Verb */

/**
 * @param {HTMLElement} holder
 * @param {{reorder: (order: string[], message: string) => unknown}} act
 */
export function startMoving(holder, { reorder }) {
  /** @type {{what: Held, before: string[]} | null} what the keyboard holds */
  let lifted = null;
  /** @type {Map<HTMLElement, any>} a list and what sorts it */
  const sortables = new Map();

  /** @param {string} ref @param {string[]} order */
  const said = (ref, order) => `${ref} is at place ${order.indexOf(ref) + 1} of ${order.length}.`;

  /** @param {string} name @param {string[]} order */
  const saidOf = (name, order) => {
    const names = [...families(order).keys()];
    return `${name} is family ${names.indexOf(name) + 1} of ${names.length}.`;
  };

  /**
   * In words, which count every row: what a filter hides as well. By family, a step is one within it.
   * @param {Verb} verb @param {string[]} refs
   */
  const by = (verb, refs) => {
    const set = new Set(refs);
    const start = shown.grouped ? byFamily(shown.order) : shown.order;
    const steps = shown.grouped && WORDS[verb] === verb;
    const order = steps ? [...families(start).values()].flatMap((own) => moved(own, set, verb)) : moved(start, set, verb);
    const message = refs.length === 1 ? said(refs[0], order) : `${refs.length} models were moved ${WORDS[verb]}.`;
    return reorder(order, message);
  };

  const renew = () => {
    sortables.forEach((one) => one.destroy());
    sortables.clear();
  };

  /** @param {HTMLElement} list @param {HTMLElement} parent @param {object} options */
  const sort = (list, parent, options) => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    return /** @type {any} */ (window).Sortable.create(parent, {
      handle: ".row-handle",
      draggable: ".row",
      // With many rows, measuring them all for each step takes longer than a frame.
      animation: still || parent.childElementCount > MANY ? 0 : 140,
      // The browser's own dragging does without touch, and paints its own picture.
      forceFallback: true,
      fallbackTolerance: 3,
      onEnd: (/** @type {any} */ event) => {
        const there = all(".row:not([hidden])", list).map((row) => row.id);
        const start = shown.grouped ? byFamily(shown.order) : shown.order;
        const { id, dataset: { of } } = event.item;
        const own = new Set(all(".row .row-check:checked", list).map((box) => box.closest(".row")?.id ?? ""));
        const many = own.has(id) && own.size > 1;
        const dropped = shared(shown.grouped ? byFamily(start, drawn(list)) : start, there);
        const order = many ? together(dropped, id, start.filter((ref) => own.has(ref))) : dropped;
        if (order.join("\n") === start.join("\n")) return arrange();
        const message = of === undefined ? said(id, order) : saidOf(of, order);
        reorder(order, many ? `${own.size} models were moved.` : message);
      },
      ...options,
    });
  };

  // A list becomes one that sorts when a handle of it is pressed: there may be a hundred.
  holder.addEventListener(
    "pointerdown",
    ({ target }) => {
      const handle = target instanceof Element ? target.closest(".row-handle") : null;
      const list = find("[data-rows]", holder);
      if (!handle || !list) return;
      const whole = handle.matches(".family-handle");
      const parent = whole ? list : handle.closest(".row")?.parentElement;
      if (!parent || sortables.has(parent)) return;
      const options = whole ? { handle: ".family-handle", draggable: ".family" } : {};
      sortables.set(parent, sort(list, parent, options));
    },
    true,
  );

  /** @param {boolean} keep */
  const drop = (keep) => {
    if (!lifted) return;
    const { what, before } = lifted;
    lifted = null;
    what.mark(false);
    const order = shown.order;
    shown.order = before;
    if (keep && order.join("\n") !== what.start(before).join("\n")) return reorder(order, what.said(order));
    arrange();
    what.focus();
    announce(`${what.name} stays at ${what.place()}.`);
  };

  /** @param {HTMLElement} handle */
  const heldBy = (handle) => {
    const block = handle.matches(".family-handle") ? handle.closest(".family") : null;
    if (block instanceof HTMLElement) return heldFamily(block.dataset.of ?? "", saidOf);
    const ref = handle.closest(".row")?.id;
    return ref ? heldRow(ref, said) : null;
  };

  on(holder, "keydown", ".row-handle", (event, handle) => {
    const { key } = /** @type {KeyboardEvent} */ (event);
    if (key === " " || (key === "Enter" && lifted)) {
      event.preventDefault();
      if (lifted) return drop(true);
      const what = heldBy(handle);
      if (!what) return;
      lifted = { what, before: shown.order };
      shown.order = what.start(shown.order);
      what.mark(true);
      announce(`${what.name} is lifted, at ${what.place()}. Move it by the arrows.`);
    } else if (lifted && (key === "ArrowUp" || key === "ArrowDown")) {
      event.preventDefault();
      const held = lifted;
      shown.order = held.what.moved(shown.order, key === "ArrowUp" ? "up" : "down");
      // Its row leaves the page for a moment, which is no leaving by the viewer.
      lifted = null;
      arrange();
      held.what.focus();
      lifted = held;
      announce(`${held.what.name}, ${held.what.place()}.`);
    } else if (lifted && key === "Escape") drop(false);
  });
  on(holder, "focusout", ".row-handle", () => drop(true));
  on(holder, "focusin", ".row-handle", (_event, handle) => {
    handle.setAttribute("aria-describedby", "how-to-move");
    if (!handle.hasAttribute("aria-pressed")) handle.setAttribute("aria-pressed", "false");
  });

  return { by, renew };
}

/**
 * The chosen ones go, in their order, to where the one of them that was dragged is.
 * @param {string[]} order @param {string} ref @param {string[]} own
 */
function together(order, ref, own) {
  const at = order.indexOf(ref);
  const [before, after] = [order.slice(0, at), order.slice(at)].map((part) => part.filter((one) => !own.includes(one)));
  return [...before, ...own, ...after];
}

/**
 * The rows after a move; several keep their order, and who is at the end stays there.
 * @param {string[]} order @param {Set<string>} refs @param {Verb} verb
 */
function moved(order, refs, verb) {
  const [own, others] = [order.filter((r) => refs.has(r)), order.filter((r) => !refs.has(r))];
  if (verb === "top") return [...own, ...others];
  if (verb === "bottom") return [...others, ...own];
  const found = verb === "up" ? [...order] : [...order].reverse();
  for (let i = 1; i < found.length; i += 1) {
    if (refs.has(found[i]) && !refs.has(found[i - 1])) {
      [found[i - 1], found[i]] = [found[i], found[i - 1]];
    }
  }
  return verb === "up" ? found : found.reverse();
}

/**
 * @typedef {object} Held
 * @property {string} name
 * @property {(order: string[]) => string[]} start the order that is seen, before it is moved
 * @property {(order: string[], verb: "up" | "down") => string[]} moved
 * @property {(order: string[]) => string} said
 * @property {() => string} place
 * @property {() => void} focus
 * @property {(on: boolean) => void} mark
 */

/** @param {string} ref @param {(ref: string, order: string[]) => string} said @returns {Held} */
function heldRow(ref, said) {
  const element = () => document.getElementById(ref);
  // In the view by family, a model moves within its own.
  const mates = () => {
    const own = families(seen()).get(element()?.dataset.family ?? "") ?? [];
    return shown.grouped ? own : seen();
  };
  return {
    name: ref,
    start: (order) => (shown.grouped ? byFamily(order) : order),
    moved: (order, verb) => shared(order, moved(mates(), new Set([ref]), verb)),
    said: (order) => said(ref, order),
    place: () => place(ref),
    ...handled(element),
  };
}

/** @param {string} name @param {(name: string, order: string[]) => string} said @returns {Held} */
function heldFamily(name, said) {
  const names = (/** @type {string[]} */ order) => [...families(order).keys()];
  return {
    name,
    start: (order) => byFamily(order),
    moved: (order, verb) =>
      byFamily(order, shared(names(order), moved(seenFamilies(), new Set([name]), verb))),
    said: (order) => said(name, order),
    place: () => `place ${names(shown.order).indexOf(name) + 1} of ${names(shown.order).length} families`,
    ...handled(() => find(`.family[data-of="${CSS.escape(name)}"]`)),
  };
}

/** @param {() => HTMLElement | null} element */
function handled(element) {
  const handle = () => find(".row-handle", element() ?? document.createElement("i"));
  return {
    focus: () => {
      handle()?.focus();
      element()?.scrollIntoView({ block: "nearest" });
    },
    mark: (/** @type {boolean} */ on) => {
      element()?.toggleAttribute("data-lifted", on);
      handle()?.setAttribute("aria-pressed", String(on));
    },
  };
}

/** The families as they stand on the page. @param {HTMLElement} list */
function drawn(list) {
  return all(".family", list).map((block) => block.dataset.of ?? "");
}
