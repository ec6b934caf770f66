// A pose as data: 18 points in the model's square frame, what may be done to them, and what was done.
// It draws nothing and calls nobody.

/** Side of the model's frame, px. Photos, poses and pictures are stretched to this square. */
export const FRAME = 256;
/** Width by height of the pictures that the model was made for. */
export const NATURAL_ASPECT = 176 / 256;

/** Names of the points, in OpenPose's COCO-18 order. */
export const JOINTS = [
  "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
  "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
  "right eye", "left eye", "right ear", "left ear",
];
/** Pairs of points that are joined, in the order in which they are drawn. */
export const LIMBS = [
  [1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10],
  [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16], [0, 15], [15, 17],
];
/** Colour of each point and of each limb, as the service draws skeletons for the model. */
export const COLOURS = [
  "#0000ff", "#0055ff", "#00aaff", "#00ffff", "#00ffaa", "#00ff55", "#00ff00", "#55ff00", "#aaff00",
  "#ffff00", "#ffaa00", "#ff5500", "#ff0000", "#ff0055", "#ff00aa", "#ff00ff", "#aa00ff", "#5500ff",
];
/** The service refuses a pose with fewer. */
export const MIN_SEEN = 3;
const PARTNERS = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16];
const FIT_MARGIN = 0.08;

/**
 * Points of what the API answers: `keypoints` in px of a frame of `size` at `origin`.
 * @returns {Array<{x: number, y: number}|null>} in px of the model's frame
 */
export function pointsOf({ keypoints, size, origin }) {
  const [left, top] = origin ?? [0, 0];
  return keypoints.map(
    (point) => point && { x: ((point[0] - left) * FRAME) / size[0], y: ((point[1] - top) * FRAME) / size[1] },
  );
}

/** As the API takes it. */
export function documentOf(pose) {
  if (pose.id) return { id: pose.id };
  const round = (value) => Math.round(value * 10) / 10;
  return { keypoints: pose.points.map((point) => point && [round(point.x), round(point.y)]), size: [FRAME, FRAME] };
}

/** Left and right exchanged, in place and in name. */
export function mirrored(points) {
  return PARTNERS.map((partner) => points[partner] && { x: FRAME - points[partner].x, y: points[partner].y });
}

/** As large as the frame allows, in its middle, in its own proportions. */
export function fitted(points) {
  const seen = points.filter(Boolean);
  const [left, right] = [Math.min(...seen.map((each) => each.x)), Math.max(...seen.map((each) => each.x))];
  const [top, bottom] = [Math.min(...seen.map((each) => each.y)), Math.max(...seen.map((each) => each.y))];
  const room = FRAME * (1 - 2 * FIT_MARGIN);
  // Frame and pose are stretched alike: one factor for both sides keeps the proportions.
  const factor = Math.min(room / Math.max(right - left, 1), room / Math.max(bottom - top, 1));
  const place = (value, low, high) => FRAME / 2 + (value - (low + high) / 2) * factor;
  return points.map((each) => each && { x: place(each.x, left, right), y: place(each.y, top, bottom) });
}

/** What was done, step by step, and the way back. */
export class Timeline {
  /** @param {object} first state; states are never changed */
  constructor(first) {
    this.states = [first];
    this.index = 0;
  }

  get present() { return this.states[this.index]; }
  get canUndo() { return this.index > 0; }
  get canRedo() { return this.index < this.states.length - 1; }

  /** A new state; what was undone is gone. */
  add(state) {
    this.states = [...this.states.slice(0, this.index + 1), state];
    this.index += 1;
  }

  undo() { this.index -= this.canUndo ? 1 : 0; }
  redo() { this.index += this.canRedo ? 1 : 0; }
}
