// The state in the fragment of the address: what differs from the running example, as words a reader can change.
//   playground.html#margin=arc&m=0.5&w=165,60,120,-80
import { DEFAULT, PARAMETERS, stateOf, USUAL_M, wrapped } from "./model.js";
import { faultOf } from "./checks.js";

const CHOICES = {
  margin: ["none", "am", "arc", "a", "combined"], form: ["adaptive", "fixed"], tail: ["raw", "linear", "plain", "reflect"],
};

export function fragmentOf(state) {
  const differs = Object.entries(state).filter(([key, value]) => String(value) !== String(usual(key, state)));
  return differs.map(([key, value]) => `${key}=${value}`).join("&");
}

const usual = (key, { margin }) => (key === "m" ? USUAL_M[margin] ?? DEFAULT.m : DEFAULT[key]);

// The state of a fragment; what is unknown or out of range is left as it is in the running example.
export function stateOfFragment(fragment) {
  const given = Object.fromEntries(new URLSearchParams(fragment.replace(/^#/, "")));
  const margin = CHOICES.margin.includes(given.margin) ? given.margin : DEFAULT.margin;
  const state = stateOf({ margin, m: USUAL_M[margin] ?? DEFAULT.m });
  for (const key of ["form", "tail"]) if (CHOICES[key].includes(given[key])) state[key] = given[key];
  for (const key of ["easy", "straight"]) state[key] = given[key] === "true";
  for (const key of ["s", "t", ...PARAMETERS[margin]]) {
    if (key in given && faultOf(margin, key, numberOf(given[key])) === "") state[key] = numberOf(given[key]);
  }
  if (["0", "1", "2", "3"].includes(given.label)) state.label = Number(given.label);
  if (["0", "1", "2", "3", "x"].includes(given.moved)) state.moved = given.moved;
  if (Number.isFinite(numberOf(given.x))) state.x = wrapped(numberOf(given.x));
  const w = (given.w ?? "").split(",").map(numberOf);
  if (w.length === DEFAULT.w.length && w.every(Number.isFinite)) state.w = w.map(wrapped);
  return state;
}

const numberOf = (text) => (text === undefined || text.trim() === "" ? NaN : Number(text));
