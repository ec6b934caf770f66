// Draws a pose into SVG as the service draws it for the model, but in the shape in which people see it.

import { COLOURS, FRAME, LIMBS } from "./pose.js";
import { element, svg } from "../common/elements.js";

const LIMB_HALF_WIDTH = 4;
const JOINT_RADIUS = 4;

/** The limbs and discs of a pose, made once and moved as it changes. */
export class Skeleton {
  constructor() {
    this.limbs = LIMBS.map((_, index) => svg("ellipse", { class: "limb", ry: LIMB_HALF_WIDTH, fill: COLOURS[index] }));
    this.discs = COLOURS.map((fill) => svg("circle", { class: "disc", r: JOINT_RADIUS, fill }));
  }

  /**
   * @param {Array<{x: number, y: number}|null>} points in px of the model's frame
   * @param {number} aspect width by height of the frame as it is shown
   */
  move(points, aspect) {
    LIMBS.forEach(([first, second], index) => place(this.limbs[index], points[first], points[second], aspect));
    this.discs.forEach((disc, index) => {
      disc.toggleAttribute("hidden", !points[index]);
      if (!points[index]) return;
      disc.setAttribute("cx", points[index].x * aspect);
      disc.setAttribute("cy", points[index].y);
    });
  }
}

function place(limb, from, to, aspect) {
  limb.toggleAttribute("hidden", !from || !to);
  if (!from || !to) return;
  const [dx, dy] = [(to.x - from.x) * aspect, to.y - from.y];
  limb.setAttribute("rx", Math.hypot(dx, dy) / 2);
  const [x, y] = [((from.x + to.x) / 2) * aspect, (from.y + to.y) / 2];
  limb.setAttribute("transform", `translate(${x} ${y}) rotate(${(Math.atan2(dy, dx) * 180) / Math.PI})`);
}

/**
 * A small drawing of a pose, without words.
 * @param {{points?: Array, picture?: string}} pose
 * @param {number} aspect
 */
export function thumbnail(pose, aspect) {
  if (pose.picture) return element("img", { className: "pose-thumbnail", src: pose.picture, alt: "" });
  const skeleton = new Skeleton();
  skeleton.move(pose.points, aspect);
  const viewBox = `0 0 ${FRAME * aspect} ${FRAME}`;
  return svg(
    "svg", { class: "pose-thumbnail", viewBox, "aria-hidden": "true" }, ...skeleton.discs, ...skeleton.limbs,
  );
}
