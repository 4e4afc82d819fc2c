/**
 * Charts, and the tables behind them when they are opened. Straight lines, light grids, all
 * series in a tooltip, names at the ends of lines.
 * @module
 */

import { all, fill, find, h } from "./lib/dom.js";
import { duration, number, tokens } from "./lib/format.js";
import { color } from "./lib/theme.js";

const FORMATS = { count: number, tokens, seconds: duration };
const THIN = { count: tokens, tokens, seconds: duration };
const GREY = "--line-control";
const BAND = 0.16;

/**
 * @typedef {{name: string, hue: number, values: (number | null)[]}} Column a value a step
 * @typedef {{whens: string[], ticks: string[]}} Axis of each step its time, and its word if it has one
 */

/** What each chart shows, and of what. @type {Map<string, {chart: any, source: Node, axis: string}>} */
const drawn = new Map();

/**
 * @param {HTMLElement} root
 * @param {{anew?: boolean}} [options] anew: also where the figures are the same
 */
export function drawCharts(root, { anew = false } = {}) {
  for (const card of all("[data-chart]", root)) {
    if (seen.has(card)) draw(card, anew);
    else watcher.observe(card);
  }
}

/** What is near the window, each chart in a turn of its own; the others wait to be scrolled to. */
const seen = new WeakSet();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      watcher.unobserve(target);
      seen.add(target);
      setTimeout(draw, 0, target, true);
    }
  },
  { rootMargin: "200px 0px" },
);
addEventListener("beforeprint", () => all("[data-chart]").forEach((card) => draw(card, false)));

/** @param {HTMLElement} card @param {boolean} anew */
function draw(card, anew) {
  const { Chart } = /** @type {any} */ (window);
  if (!Chart) return;
  const canvas = /** @type {HTMLCanvasElement | null} */ (find("canvas", card));
  const id = card.dataset.chart ?? "";
  const source = sourceOf(card);
  const axis = find("#axis")?.textContent ?? "";
  const known = drawn.get(id);
  if (!canvas || !source) return;
  if (known && !anew && known.axis === axis && known.source.isEqualNode(source)) return;
  const now = { source: source.cloneNode(true), axis };
  const wanted = card.dataset.kind === "shares" ? shares(card) : settings(card);
  if (known) {
    Object.assign(known.chart, { data: wanted.data, options: wanted.options });
    known.chart.update("none");
    Object.assign(known, now);
  } else {
    drawn.set(id, { chart: new Chart(canvas, wanted), ...now });
  }
  if (find("details[open]", card)) tabulate(card);
}

/** The values of a chart as a table; that of the quota is there already. @param {HTMLElement} card */
export function tabulate(card) {
  const { kind, unit } = /** @type {{kind: string, unit: "count" | "tokens" | "seconds"}} */ (card.dataset);
  const frame = find(".figures-frame", card);
  if (!frame || kind === "shares") return;
  const columns = columnsOf(card);
  const cell = (/** @type {number | null} */ value) =>
    h("td", { class: "figure" }, value === null ? "–" : FORMATS[unit](value));
  const rows = axis().whens.map((when, i) =>
    h("tr", {}, h("th", { scope: "row" }, when), ...columns.map(({ values }) => cell(values[i]))),
  );
  const heads = columns.map(({ name }) => h("th", { scope: "col", class: "figure" }, name));
  fill(
    frame,
    h(
      "table",
      { class: "table" },
      h("caption", { class: "for-readers" }, find("h2", card)?.textContent ?? ""),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), ...heads)),
      h("tbody", {}, ...rows),
    ),
  );
}

/** Where a chart's values stand. @param {HTMLElement} card */
const sourceOf = (card) => find(card.dataset.kind === "shares" ? "table" : "script", card);

/** @param {HTMLElement} card @returns {Column[]} */
const columnsOf = (card) => JSON.parse(sourceOf(card)?.textContent || "[]");

/** @returns {Axis} */
const axis = () => JSON.parse(find("#axis")?.textContent || '{"whens": [], "ticks": []}');

/** @param {HTMLElement} card */
function settings(card) {
  const { kind, unit } = /** @type {{kind: string, unit: "count" | "tokens" | "seconds"}} */ (card.dataset);
  const { whens, ticks } = axis();
  const datasets = columnsOf(card).map(({ name, hue, values }, i) => {
    const ink = color(hue < 0 ? GREY : `--hue-${hue}`);
    return { label: name, data: values, ...(kind === "bars" ? bar(ink) : line(ink, kind, i, whens.length - 1)) };
  });
  return {
    type: kind === "bars" ? "bar" : "line",
    data: { labels: whens, datasets },
    options: options(ticks, kind === "bars", unit),
    plugins: kind === "bars" ? [] : [endLabels],
  };
}

/**
 * Used and expected of each cap, lying: every bar in its provider's colour.
 * @param {HTMLElement} card
 */
function shares(card) {
  const table = /** @type {HTMLElement} */ (sourceOf(card));
  const rows = all("tr[data-drawn]", table);
  const inks = rows.map((row) => color(`--hue-${row.dataset.drawn}`));
  const heads = all("thead th[data-hue]", table);
  const pale = inks.map((ink) => paler(ink));
  const datasets = heads.map((head, i) => ({
    label: head.textContent ?? "",
    data: rows.map((row) => Number(row.querySelectorAll("td")[i]?.dataset.v)),
    texts: rows.map((row) => row.querySelectorAll("td")[i]?.textContent ?? ""),
    backgroundColor: i ? pale : inks,
    barPercentage: 0.6,
    maxBarThickness: 14,
    borderRadius: 1,
  }));
  const base = options([], true, "count", true);
  const { x, y } = base.scales;
  const labels = rows.map((row) => row.dataset.label ?? "");
  // Two lines each, so that they fit on a phone.
  const lines = rows.map((row) => [row.dataset.name ?? "", row.dataset.of ?? ""]);
  const names = { ...x.ticks, color: color("--ink-2"), callback: (/** @type {number} */ i) => lines[i] };
  const percents = { ...y.ticks, callback: (/** @type {number} */ value) => `${value} %` };
  const label = (/** @type {any} */ item) => `${item.dataset.label}  ${item.dataset.texts[item.dataIndex]}`;
  const tip = base.plugins.tooltip;
  return {
    type: "bar",
    data: { labels, datasets },
    options: {
      ...base,
      indexAxis: "y",
      interaction: { mode: "index", intersect: false, axis: "y" },
      layout: { padding: { right: 12 } },
      scales: {
        x: { ...y, max: 100, ticks: percents },
        y: { ...x, ticks: names },
      },
      plugins: {
        ...base.plugins,
        tooltip: { ...tip, filter: () => true, callbacks: { ...tip.callbacks, label, footer: () => "" } },
      },
    },
    plugins: [],
  };
}

/** @param {string} ink @param {number} [share] */
const paler = (ink, share = 2 * BAND) => ink.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);

/** @param {string} ink */
const bar = (ink) => ({
  backgroundColor: ink,
  barPercentage: 0.82,
  categoryPercentage: 1,
  // One bar a step: Chart.js need not look through all series for the place of each piece.
  grouped: false,
});

/** @param {string} ink @param {string} kind @param {number} i @param {number} last */
function line(ink, kind, i, last) {
  return {
    borderColor: ink,
    backgroundColor: paler(ink, BAND),
    borderWidth: kind === "band" && i === 1 ? 1 : 1.75,
    fill: kind === "band" && i === 1 ? "-1" : false,
    pointRadius: 0,
    pointHoverRadius: 3,
    pointHoverBackgroundColor: ink,
    tension: 0,
    spanGaps: true,
    // The step that is not over is dashed: it will grow.
    segment: { borderDash: (/** @type {any} */ piece) => (piece.p1DataIndex === last ? [3, 3] : undefined) },
  };
}

/**
 * @param {string[]} ticks @param {boolean} stacked @param {"count" | "tokens" | "seconds"} unit
 * @param {boolean} [isLying] every bar has its name
 */
function options(ticks, stacked, unit, isLying = false) {
  const quiet = color("--ink-3");
  const font = { size: 11, family: getComputedStyle(document.body).fontFamily };
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false, axis: "x" },
    layout: { padding: { right: stacked ? 0 : 28, top: 4 } },
    scales: {
      x: {
        stacked,
        border: { color: color("--line-strong") },
        grid: { display: false },
        ticks: {
          color: quiet,
          font,
          maxRotation: 0,
          // Where there is no room for all of them, every second one.
          autoSkip: !isLying,
          autoSkipPadding: 12,
          callback: (/** @type {number} */ i) => ticks[i] ?? "",
        },
        // A step without a word is no tick, which would be measured like one.
        afterBuildTicks: (/** @type {any} */ scale) => {
          if (ticks.length) scale.ticks = scale.ticks.filter((/** @type {any} */ { value }) => ticks[value]);
        },
      },
      y: {
        stacked,
        beginAtZero: true,
        border: { display: false },
        grid: { color: color("--line"), tickLength: 0 },
        ticks: {
          color: quiet,
          font,
          maxTicksLimit: 5,
          padding: 8,
          ...(unit === "seconds" ? {} : { precision: 0 }),
          callback: (/** @type {number} */ value) => (value ? THIN[unit](value) : "0"),
        },
      },
    },
    plugins: { legend: { display: false }, tooltip: tooltip(stacked, unit, font) },
  };
}

/** @param {boolean} stacked @param {"count" | "tokens" | "seconds"} unit @param {object} font */
function tooltip(stacked, unit, font) {
  const say = FORMATS[unit];
  const whole = (/** @type {any[]} */ items) => items.reduce((sum, item) => sum + (item.raw ?? 0), 0);
  return {
    backgroundColor: color("--raised"),
    titleColor: color("--ink"),
    bodyColor: color("--ink-2"),
    footerColor: color("--ink"),
    borderColor: color("--line-strong"),
    borderWidth: 1,
    padding: 10,
    boxWidth: 8,
    boxHeight: 8,
    boxPadding: 5,
    cornerRadius: 6,
    titleFont: { ...font, size: 12, weight: 600 },
    bodyFont: { ...font, size: 12 },
    footerFont: { ...font, size: 12, weight: 600 },
    filter: (/** @type {any} */ item) => item.raw !== null && (!stacked || item.raw > 0),
    callbacks: {
      label: (/** @type {any} */ item) => `${item.dataset.label}  ${say(item.raw)}`,
      labelColor: (/** @type {any} */ item) => {
        const ink = item.dataset.borderColor ?? item.dataset.backgroundColor;
        return { borderColor: ink, backgroundColor: ink, borderRadius: 2 };
      },
      footer: (/** @type {any[]} */ items) => (stacked && items.length > 1 ? `all  ${say(whole(items))}` : ""),
    },
  };
}

/** The name of each line where it ends, kept apart from the others. */
const endLabels = {
  id: "endLabels",
  afterDatasetsDraw(/** @type {any} */ chart) {
    const { ctx, chartArea } = chart;
    ctx.save();
    ctx.font = `500 11px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    let above = -Infinity;
    const ends = chart.data.datasets
      .map((/** @type {any} */ set, /** @type {number} */ i) => {
        const last = set.data.findLastIndex((/** @type {any} */ value) => value !== null);
        return { set, point: chart.getDatasetMeta(i).data[last] };
      })
      .filter((/** @type {any} */ end) => end.point)
      .sort((/** @type {any} */ a, /** @type {any} */ b) => a.point.y - b.point.y);
    for (const { set, point } of ends) {
      const y = Math.max(point.y, above + 12);
      above = y;
      ctx.fillStyle = set.borderColor;
      ctx.fillText(set.label, Math.min(point.x, chartArea.right) + 5, y);
    }
    ctx.restore();
  },
};
