// Charts over time, in the page's colours: lines or points on a canvas, a legend with values, and a sentence for those
// who don't see it. What is drawn is told by the caller; uPlot, which draws, is in window.uPlot.

import { timeOfDay } from "./format.js";

const HEIGHT_PX = 190;
// Whoever reads by ear is told what is new no more often.
const SUMMARY_MS = 15000;
const POINT_PX = 6;

/** One of them, in a `figure` of the page: a legend item with `data-series` a series, `.plot`, `[data-summary]`. */
export class Chart {
  #figure;
  #plot;
  #colours = new Map();
  #items;
  #format;
  #isSparse;
  #summarize;
  #summaryDue = 0;

  /**
   * @param {HTMLElement} figure
   * @param {object} options
   * @param {(value: number) => string} options.format of values, with their unit
   * @param {number} options.least the vertical axis reaches up to this at least
   * @param {number} [options.most] and never beyond this
   * @param {number[]} [options.steps] of the vertical axis, one of them
   * @param {boolean} [options.isSparse] values of the series are at times of their own, not all at the same
   */
  constructor(figure, { format, least, most = Infinity, steps, isSparse = false }) {
    this.#figure = figure;
    this.#format = format;
    this.#isSparse = isSparse;
    this.#items = [...figure.querySelectorAll("[data-series]")];
    const holder = figure.querySelector(".plot");
    this.#readColours();
    const font = `12px ${getComputedStyle(figure).fontFamily}`;
    const axis = {
      stroke: () => this.#colours.get("ink"),
      font,
      grid: { stroke: () => this.#colours.get("grid"), width: 1 },
      ticks: { show: false },
    };
    this.#plot = new window.uPlot(
      {
        width: holder.clientWidth || 300,
        height: HEIGHT_PX,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, clamp(1.1 * (high ?? 0), least, most)] } },
        axes: [
          { ...axis, size: 28, space: 64, values: (_, times) => times.map((time) => timeOfDay(time, time % 60 !== 0)) },
          { ...axis, size: 54, space: 36, incrs: steps, values: (_, marks) => marks.map((mark) => (mark && format(mark))) },
        ],
        series: [{}, ...this.#items.map((item) => this.#series(item.dataset))],
        hooks: { setCursor: [() => this.#showValues()] },
      },
      [[], ...this.#items.map(() => [])],
      holder,
    );
    this.#label(figure.querySelector("h3").textContent);
    new ResizeObserver(() => {
      if (holder.clientWidth) this.#plot.setSize({ width: holder.clientWidth, height: HEIGHT_PX });
    }).observe(holder);
  }

  /**
   * @param {number[][]} data times in seconds, then the values of each series, null where there is none
   * @param {{from: number, to: number}} span what is shown, in seconds
   * @param {() => string} summarize the whole in words
   */
  draw(data, { from, to }, summarize) {
    this.#summarize = summarize;
    this.#figure.dataset.points = data.slice(1).flat().filter((value) => value !== null).length;
    this.#plot.batch(() => {
      this.#plot.setData(data, false);
      this.#plot.setScale("x", { min: from, max: to });
    });
    this.#showValues();
    this.#showSummary();
  }

  /** The page's colours have changed. */
  recolour() {
    this.#readColours();
    this.#plot.redraw(false);
  }

  #series({ series, draws }) {
    const stroke = () => this.#colours.get(series);
    const isPoints = draws === "points" || draws === "squares";
    return {
      stroke,
      width: 2,
      spanGaps: this.#isSparse,
      dash: draws === "dashes" ? [6, 4] : undefined,
      fill: draws === "area" ? () => this.#colours.get(`${series}-area`) : undefined,
      paths: isPoints ? () => null : undefined,
      points: isPoints
        ? { show: true, size: POINT_PX, width: 1, fill: stroke, ...(draws === "squares" ? { paths: squares } : {}) }
        : { size: 4, fill: stroke, show: (plot, number) => isAlone(plot.data[number]) },
    };
  }

  #readColours() {
    const colourOf = (element) => getComputedStyle(element).color;
    for (const item of this.#items) {
      const colour = colourOf(item.querySelector(".swatch"));
      this.#colours.set(item.dataset.series, colour);
      this.#colours.set(`${item.dataset.series}-area`, colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)"));
    }
    this.#colours.set("ink", colourOf(this.#figure.querySelector(".soft")));
    this.#colours.set("grid", getComputedStyle(this.#figure).borderTopColor);
  }

  #label(title) {
    const { canvas } = this.#plot.ctx;
    const summary = this.#figure.querySelector("[data-summary]");
    summary.id ||= `${this.#figure.id}-summary`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}, a chart over time`);
    canvas.setAttribute("aria-describedby", summary.id);
  }

  /** In the legend: those under the pointer, else the newest. */
  #showValues() {
    const { data, cursor } = this.#plot;
    const index = cursor.left >= 0 ? cursor.idx : null;
    this.#items.forEach((item, number) => {
      const values = data[number + 1];
      const value = index !== null ? values[index] : this.#isSparse ? newest(values) : values.at(-1);
      item.querySelector("b").textContent = value === null || value === undefined ? "–" : this.#format(value);
    });
    const place = this.#figure.querySelector("[data-when]");
    place.textContent = index === null ? place.dataset.when : timeOfDay(data[0][index]);
  }

  #showSummary() {
    if (performance.now() < this.#summaryDue) return;
    this.#summaryDue = performance.now() + SUMMARY_MS;
    this.#figure.querySelector("[data-summary]").textContent = this.#summarize();
  }
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

function newest(values) {
  return values.findLast((value) => value !== null);
}

/** A single value makes no line. */
function isAlone(values) {
  return values.filter((value) => value !== null).length === 1;
}

/** Points that can be told from round ones without their colour. */
function squares(plot, series, first, last) {
  const path = new Path2D();
  const [xs, ys] = [plot.data[0], plot.data[series]];
  const size = POINT_PX * devicePixelRatio;
  for (let index = first; index <= last; index += 1) {
    if (ys[index] === null) continue;
    const x = plot.valToPos(xs[index], "x", true);
    const y = plot.valToPos(ys[index], "y", true);
    path.rect(x - size / 2, y - size / 2, size, size);
  }
  return { fill: path, stroke: path, clip: null, flags: 3 };
}
