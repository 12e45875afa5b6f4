// The loss along the angle of the vector that was moved last, with a jump drawn as a jump.
import { cosineOf, lossOf } from "./model.js";
import { forward } from "./loss.js";
import { general } from "./numbers.js";

export const HEIGHT = 330;
const SPACE = { left: 46, right: 16, top: 26, bottom: 44 };

// ---- the curve ------------------------------------------------------------------------------------------------------

const moved = (state, which, angle) =>
  which === "x" ? { ...state, x: angle } : { ...state, w: state.w.map((w, k) => (k === Number(which) ? angle : w)) };

function valueAt(state, which, angle) {
  const at = moved(state, which, angle), step = forward(lossOf(at), at.w.map((w) => cosineOf(w - at.x)), at.label);
  return { angle, loss: step.loss, decided: `${step.mask.map(Number)} ${step.margin.side(step.angle)}` };
}

// Pieces of points on which no decision changes; between two pieces lies a switch, where the loss may jump.
export function curveOf(state, which) {
  const value = (angle) => valueAt(state, which, angle), pieces = [[value(-180)]];
  for (let degree = -179; degree <= 180; degree++) {
    const end = value(degree);
    for (let last = pieces.at(-1).at(-1); last.decided !== end.decided; last = pieces.at(-1).at(-1)) {
      const [before, after] = switchBetween(value, last, end);
      pieces.at(-1).push(before);
      pieces.push([after]);
    }
    if (pieces.at(-1).at(-1).angle < degree) pieces.at(-1).push(end);
  }
  return pieces;
}

// The two neighbours of the first switch between two points, by bisection.
function switchBetween(value, from, to) {
  let [before, after] = [from, to];
  for (let i = 0; i < 60; i++) {
    const middle = value((before.angle + after.angle) / 2);
    if (middle.angle === before.angle || middle.angle === after.angle) break;
    if (middle.decided === from.decided) before = middle;
    else after = middle;
  }
  return [before, after];
}

// The jumps that can be seen.
export function jumpsOf(pieces) {
  const pairs = pieces.slice(1).map((piece, i) => [pieces[i].at(-1), piece[0]]);
  const seen = 2e-3 * Math.max(...pieces.flat().map(({ loss }) => loss));
  return pairs.filter(([before, after]) => Math.abs(after.loss - before.loss) > seen);
}

// ---- the drawing ----------------------------------------------------------------------------------------------------

export function plotOf(state, which, width) {
  const pieces = curveOf(state, which), plain = curveOf({ ...state, t: 1 }, which), now = which === "x" ? state.x : state.w[which];
  const ticks = ticksTo(Math.max(...[...pieces, ...plain].flat().map(({ loss }) => loss)));
  const x = (angle) => SPACE.left + ((angle + 180) / 360) * (width - SPACE.left - SPACE.right);
  const y = (loss) => HEIGHT - SPACE.bottom - (loss / ticks.at(-1)) * (HEIGHT - SPACE.top - SPACE.bottom);
  const path = (points) => `M${points.map((p) => `${x(p.angle).toFixed(1)} ${y(p.loss).toFixed(1)}`).join("L")}`;
  const here = valueAt(state, which, now), name = which === "x" ? "x" : `w${"₀₁₂₃"[which]}`;
  return [
    axes(x, y, ticks, width, name),
    `<path class="plain" d="${plain.map(path).join("")}"/>`,
    `<path class="curve" d="${pieces.map(path).join("")}"/>`,
    ...jumpsOf(pieces).map((pair) => jump(pair, x, y)), jumpLabel(nearest(jumpsOf(pieces), now), x, y, width),
    `<path class="here" d="M${x(now).toFixed(1)} ${HEIGHT - SPACE.bottom}V${y(here.loss).toFixed(1)}"/>`,
    `<circle class="here-dot" r="6" cx="${x(now).toFixed(1)}" cy="${y(here.loss).toFixed(1)}"/>`,
  ].join("");
}

function ticksTo(top) {
  const rough = Math.max(top, 1e-300) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => i * step);
}

function axes(x, y, ticks, width, name) {
  const bottom = HEIGHT - SPACE.bottom;
  const rows = ticks.map((v) => `<path class="grid" d="M${SPACE.left} ${y(v).toFixed(1)}H${width - SPACE.right}"/><text text-anchor="end" x="${SPACE.left - 7}" y="${(y(v) + 4).toFixed(1)}">${general(v, 3)}</text>`);
  const columns = [-180, -90, 0, 90, 180].map((a) => `<path class="tick" d="M${x(a).toFixed(1)} ${bottom}v5"/><text text-anchor="middle" x="${x(a).toFixed(1)}" y="${bottom + 18}">${a}°</text>`);
  const names = `<text class="name" x="${SPACE.left - 30}" y="14">loss L</text><text class="name" text-anchor="middle" x="${(x(0)).toFixed(1)}" y="${HEIGHT - 6}">angle of ${name}</text>`;
  return rows.join("") + columns.join("") + names;
}

// The side with the larger loss is left out: there the decision is not yet taken, as it is strict.
function jump([before, after], x, y) {
  const [low, high] = before.loss < after.loss ? [before, after] : [after, before];
  const dot = (p, kind) => `<circle class="${kind}" r="4" cx="${x(p.angle).toFixed(1)}" cy="${y(p.loss).toFixed(1)}"/>`;
  return `<path class="jump" d="M${x(before.angle).toFixed(1)} ${y(before.loss).toFixed(1)}V${y(after.loss).toFixed(1)}"/>${dot(low, "closed")}${dot(high, "open")}`;
}

function nearest(jumps, angle) {
  return jumps.toSorted(([a], [b]) => Math.abs(a.angle - angle) - Math.abs(b.angle - angle))[0];
}

function jumpLabel(pair, x, y, width) {
  if (!pair) return "";
  const [before, after] = pair, isRight = x(after.angle) + 165 < width, top = Math.max(before.loss, after.loss);
  const size = general(Math.abs(after.loss - before.loss), 3);
  return `<text class="jump-label" text-anchor="${isRight ? "start" : "end"}" x="${(x(after.angle) + (isRight ? 8 : -8)).toFixed(1)}" y="${(y(top) - 8).toFixed(1)}">jump ${size} at ${Number(after.angle.toFixed(2)) + 0}°</text>`;
}
