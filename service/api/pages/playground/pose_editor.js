// The skeleton whose joints are moved by mouse, finger or keyboard. It tells what they became; it keeps no history.

import { FRAME, JOINTS, MIN_SEEN } from "./pose.js";
import { Skeleton } from "./pose_drawing.js";
import { svg } from "../common/elements.js";

// Of the frame's 256 px: as far from a joint as a finger may land.
const REACH = 17;
const LONG_STEP = 8;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** An editor inside of an `svg` element. */
export class PoseEditor {
  #points = [];
  #aspect = 1;
  #selected = 0;
  #dragged = null;

  /**
   * @param {SVGSVGElement} root
   * @param {object} tell
   * @param {(points: Array) => void} tell.changed a joint was moved or hidden: once a gesture, not once a px
   * @param {(joint: number) => void} tell.selected a joint is in hand, or moves
   */
  constructor(root, tell) {
    this.root = root;
    this.tell = tell;
    this.skeleton = new Skeleton();
    this.handles = JOINTS.map((name, index) => this.#handle(name, index));
    root.append(...this.skeleton.discs, ...this.skeleton.limbs, ...this.handles);
    root.addEventListener("pointerdown", (event) => this.#take(event));
    // A finger that has taken a joint does not scroll the page; one that lands elsewhere does.
    root.addEventListener("touchstart", (event) => { if (this.#dragged) event.preventDefault(); }, { passive: false });
    root.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, (event) => this.#drop(event));
  }

  /** The joint in hand. */
  get selected() { return this.#selected; }

  /** Draw this pose in a frame of this shape. */
  show(points, aspect) {
    this.#points = points;
    this.#aspect = aspect;
    if (!points[this.#selected]) this.#selected = Math.max(points.findIndex(Boolean), 0);
    this.#draw();
  }

  /** Take the joint in hand away, as far as the service allows, or put one back. */
  hide(index) {
    if (!this.#points[index] || this.#points.filter(Boolean).length <= MIN_SEEN) return;
    const hadFocus = this.handles[index].contains(document.activeElement);
    this.#become(index, null);
    this.tell.changed(this.#points);
    if (hadFocus) this.#select(this.#neighbour(index, 1), true);
  }

  #handle(name, index) {
    const handle = svg(
      "g",
      { class: "joint", role: "slider", "aria-roledescription": "joint", "aria-label": name,
        "aria-valuemin": 0, "aria-valuemax": FRAME },
      svg("circle", { class: "reach", r: REACH }),
      svg("circle", { class: "ring", r: 7 }),
    );
    handle.addEventListener("keydown", (event) => this.#type(event, index));
    handle.addEventListener("focus", () => this.#select(index));
    return handle;
  }

  #draw() {
    this.root.setAttribute("viewBox", `0 0 ${FRAME * this.#aspect} ${FRAME}`);
    this.skeleton.move(this.#points, this.#aspect);
    this.handles.forEach((handle, index) => {
      const point = this.#points[index];
      handle.toggleAttribute("hidden", !point);
      handle.classList.toggle("selected", index === this.#selected);
      handle.setAttribute("tabindex", index === this.#selected ? 0 : -1);
      if (!point) return;
      const [x, y] = [Math.round(point.x), Math.round(point.y)];
      handle.setAttribute("transform", `translate(${point.x * this.#aspect} ${point.y})`);
      handle.setAttribute("aria-valuenow", x);
      handle.setAttribute("aria-valuetext", `x ${x}, y ${y}`);
    });
    this.tell.selected(this.#selected);
  }

  #select(index, withFocus = false) {
    this.#selected = index;
    this.#draw();
    if (withFocus) this.handles[index].focus();
  }

  #become(index, point) {
    this.#points = this.#points.map((each, other) => (other === index ? point : each));
    this.#draw();
  }

  #move(index, x, y) {
    const inside = (value) => Math.min(Math.max(value, 0), FRAME - 1);
    this.#become(index, { x: inside(x), y: inside(y) });
  }

  #neighbour(index, step) {
    const seen = this.#points.flatMap((point, each) => (point || each === index ? [each] : []));
    const found = seen[(seen.indexOf(index) + step + seen.length) % seen.length];
    return this.#points[found] ? found : this.#points.findIndex(Boolean);
  }

  #type(event, index) {
    const seen = this.#points.flatMap((point, each) => (point ? [each] : []));
    const goTo = {
      PageDown: () => this.#neighbour(index, 1),
      PageUp: () => this.#neighbour(index, -1),
      Home: () => seen[0],
      End: () => seen.at(-1),
    }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (MOVES[event.key]) {
      const size = event.shiftKey ? LONG_STEP : 1;
      const [dx, dy] = MOVES[event.key];
      this.#move(index, this.#points[index].x + dx * size, this.#points[index].y + dy * size);
      this.tell.changed(this.#points);
    } else if (event.key === "Delete" || event.key === "Backspace") this.hide(index);
    else if (goTo) this.#select(goTo(), true);
    else return;
    event.preventDefault();
  }

  #at(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.root.getScreenCTM().inverse());
    return { x: place.x / this.#aspect, y: place.y };
  }

  #take(event) {
    // A second finger takes nothing while the first has a joint.
    if (this.#dragged) return;
    const { x, y } = this.#at(event);
    const distance = (point) => (point ? Math.hypot((point.x - x) * this.#aspect, point.y - y) : Infinity);
    const distances = this.#points.map(distance);
    const nearest = distances.indexOf(Math.min(...distances));
    if (event.button !== 0 || !(distances[nearest] <= REACH)) return;
    event.preventDefault();
    this.root.setPointerCapture(event.pointerId);
    const point = this.#points[nearest];
    // The joint keeps its distance from the finger, so that taking it moves nothing.
    this.#dragged = { pointer: event.pointerId, index: nearest, dx: point.x - x, dy: point.y - y, hasMoved: false };
    this.#select(nearest, true);
    this.root.classList.add("dragging");
  }

  #drag(event) {
    if (this.#dragged?.pointer !== event.pointerId) return;
    const { x, y } = this.#at(event);
    this.#dragged.hasMoved = true;
    this.#move(this.#dragged.index, x + this.#dragged.dx, y + this.#dragged.dy);
  }

  #drop(event) {
    const dragged = this.#dragged;
    if (dragged?.pointer !== event.pointerId) return;
    this.#dragged = null;
    this.root.classList.remove("dragging");
    if (dragged.hasMoved) this.tell.changed(this.#points);
  }
}
