// The state of the page, and what follows from it: angles in, the loss and one row's step and gradients out.
import { backward, easyMargin, forward, straightThrough } from "./loss.js";
import { MARGINS } from "./vectors.js";

// The running example of the documentation, and a fourth class. Angles are degrees on the circle; x is the
// embedding; `moved` is the vector moved last.
export const DEFAULT = {
  margin: "am", form: "adaptive", tail: "raw", easy: false, straight: false,
  s: 4, t: 1.2, m: 0.35, m1: 1, m2: 0.3, m3: 0.2, label: 0, x: 0, w: [40, 60, 150, -80], moved: "1",
};

export const USUAL_M = { am: 0.35, arc: 0.5, a: 4 };
export const PARAMETERS = { none: [], am: ["m"], arc: ["m"], a: ["m"], combined: ["m1", "m2", "m3"] };

export const PRESETS = {
  example: { title: "Running example", words: "One support vector: the class at 60°.", state: {} },
  tie: {
    title: "A tie",
    words: "f and the cosine of class 1 are both exactly 0.5. A tie is no support vector. One step closer, and the loss jumps.",
    state: { m: 0.5, w: [0, 60, 150, -80] },
  },
  converged: {
    title: "Converged row",
    words: "The target is close and the others are far. The loss is tiny but not 0, and the textbook's formula returns 0.",
    state: { s: 64, w: [3, 90, 150, -100] },
  },
  pole: {
    title: "Pole, c = 1",
    words: "The target lies on the embedding. By the cosine the slope of this margin is infinite, by the angle it is not.",
    state: { margin: "arc", m: 0.5, w: [0, 60, 150, -80], moved: "0" },
  },
  opposite: {
    title: "Pole, c = −1",
    words: "The target lies opposite the embedding. The slope by the cosine is infinite there too, with the other sign.",
    state: { margin: "arc", m: 0.5, w: [180, 60, 150, -80], moved: "0" },
  },
  beyond: {
    title: "Beyond θ + m = π",
    words: "The target is so far away that f rises again: a worse target gets a larger logit. Try the other tails.",
    state: { margin: "arc", m: 0.5, w: [165, 60, 120, -80], moved: "0" },
  },
};

export const stateOf = (changes) => structuredClone({ ...DEFAULT, ...changes });

// The cosine of an angle in degrees; exact where a float64 can hold it, so that a tie is a tie and a pole a pole.
export function cosineOf(degrees) {
  const around = Math.abs(degrees) % 360, angle = around > 180 ? 360 - around : around;
  const exact = { 60: 0.5, 90: 0, 120: -0.5 }[angle];
  return exact ?? Math.cos((angle * Math.PI) / 180);
}

// An angle in degrees, between -180 (left out) and 180.
export function wrapped(degrees) {
  return degrees > -180 && degrees <= 180 ? degrees : 180 - ((((180 - degrees) % 360) + 360) % 360);
}

export function lossOf(state) {
  const core = MARGINS[state.margin](state, state.tail); // only arc has a tail
  const eased = state.easy ? easyMargin(core) : core;
  return { margin: state.straight ? straightThrough(eased) : eased, s: state.s, t: state.t, form: state.form };
}

export function computed(state) {
  return row(state, state.w.map((w) => cosineOf(w - state.x)), state.label);
}

// One row of any cosines under the loss of a state.
export function row(state, cosines, label) {
  const step = forward(lossOf(state), cosines, label);
  return { cosines, step, gradients: backward(step) };
}

// dL/dα of each class centre by its angle on the circle, per radian. At 0° and 180° there is no direction: 0.
export function byAngles(state, { step, gradients }) {
  return state.w.map((w, k) => {
    const turn = wrapped(w - state.x), sine = Math.sin((turn * Math.PI) / 180);
    if (turn === 0 || turn === 180) return 0;
    return k === step.y ? Math.sign(sine) * gradients.angle : -sine * gradients.cosines[k];
  });
}
