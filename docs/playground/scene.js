// The circle: the embedding, the class centres, the region of the support vectors, and the gradient as arrows.
// What lies behind is drawn anew for each state; the handles stay, so that they keep the focus and the pointer.
import { byAngles, wrapped } from "./model.js";
import { general } from "./numbers.js";

const R = 100, OF_X = 66; // units of the picture: the circle, and where the handle of x is, apart from the others'
const STEP = 1; // degrees, of a key

const radians = (degrees) => (degrees * Math.PI) / 180;
const at = (degrees, radius) => [radius * Math.cos(radians(degrees)), -radius * Math.sin(radians(degrees))];
const xy = (point) => point.map((v) => v.toFixed(2)).join(" ");
const roleOf = (step, k) => (k === step.y ? "target" : step.mask[k] ? "support" : "negative");
const ROLES = { target: "target", support: "support vector", negative: "negative" };

// ---- what lies behind -----------------------------------------------------------------------------------------------

export function background(state, now) {
  const { step } = now, { x, w } = state;
  const spokes = w.map((angle, k) => `<path class="spoke ${roleOf(step, k)}" d="M0 0L${xy(at(angle, R))}"/>`);
  return [
    region(x, step.f), `<circle class="circle" r="${R}"/>`, ...spokes, marginArcs(state, step),
    embedding(x, sumOf(byAngles(state, now))),
    ...arrows(state, now), ...w.map((angle, k) => classLabel(step, angle, k)),
  ].join("");
}

// The angles at which a negative's cosine exceeds f: a sector around the embedding.
function region(x, f) {
  if (f >= 1) return "";
  if (f < -1) return `<circle class="region" r="${R}"/>`;
  const open = (Math.acos(f) * 180) / Math.PI, ends = [at(x + open, R), at(x - open, R)];
  const sector = `M0 0L${xy(ends[1])}A${R} ${R} 0 ${open > 90 ? 1 : 0} 0 ${xy(ends[0])}Z`;
  const boundary = [x + open, x - open].map((a) => `<path class="boundary" d="M0 0L${xy(at(a, R + 12))}"/>`);
  return `<path class="region" d="${sector}"/>${boundary.join("")}`;
}

// The target's angle, and from it to the boundary what the margin adds.
function marginArcs({ x, w, label }, { f, angle }) {
  const turn = wrapped(w[label] - x), side = turn < 0 ? -1 : 1, parts = [arc(x, x + turn, 30, "angle")];
  const middle = at(x + turn / 2, 41);
  if (Math.abs(turn) >= 24) parts.push(`<text x="${middle[0].toFixed(1)}" y="${middle[1].toFixed(1)}">θ</text>`);
  const end = (Math.acos(Math.max(-1, Math.min(1, f))) * 180) / Math.PI;
  if (f < angle.c - 1e-12) parts.push(arc(x + turn, x + side * end, 54, "margin"));
  return parts.join("");
}

function arc(from, to, radius, kind) {
  if (Math.abs(to - from) < 0.01) return "";
  const large = Math.abs(to - from) > 180 ? 1 : 0, sweep = to > from ? 0 : 1;
  return `<path class="${kind}" d="M${xy(at(from, radius))}A${radius} ${radius} 0 ${large} ${sweep} ${xy(at(to, radius))}"/>`;
}

// Its name stands on the side that it does not move to.
function embedding(x, along) {
  const tip = at(x, R), [a, b] = at(x, 85), [sx, sy] = at(along < 0 ? x + 90 : x - 90, 13);
  const wings = [at(x + 5, R - 11), at(x - 5, R - 11)].map(xy);
  return `<path class="embedding" d="M0 0L${xy(at(x, R - 9))}"/><path class="embedding-head" d="M${xy(tip)}L${wings.join("L")}Z"/>` +
    `<text class="name" text-anchor="middle" x="${(a + sx).toFixed(1)}" y="${(b + sy + 4).toFixed(1)}">x</text>`;
}

function classLabel(step, angle, k) {
  const [a, b] = at(angle, 122 + 10 * Math.abs(Math.sin(radians(angle)))), role = roleOf(step, k);
  return label(a, b, [[`w${"₀₁₂₃"[k]}${role === "target" ? '<tspan class="word"> target</tspan>' : ""}`, `name ${role}`], [`c = ${general(step.c[k], 3).replace("-", "−")}`, "small"]]);
}

function label(a, b, lines) {
  const anchor = a > 30 ? "start" : a < -30 ? "end" : "middle", top = b - 7 * (lines.length - 1);
  const texts = lines.map(([text, kind], i) => `<text class="${kind}" text-anchor="${anchor}" x="${a.toFixed(1)}" y="${(top + 14 * i).toFixed(1)}">${text}</text>`);
  return texts.join("");
}

const sumOf = (values) => values.reduce((total, v) => total + v, 0);

// Where a step of gradient descent moves each vector: along the circle, |dL/dα| / s long, with α in radians.
function arrows(state, now) {
  const by = byAngles(state, now), moved = [...by.map((d, k) => [state.w[k], -d, R]), [state.x, sumOf(by), OF_X]];
  return moved.map(([angle, along, radius]) => descentArrow(angle, along / state.s, radius));
}

function descentArrow(angle, along, radius) {
  const length = Math.min(Math.abs(along) * 62, 78);
  if (length < 1.5) return "";
  const sign = Math.sign(along), [px, py] = at(angle, radius), [tx, ty] = at(angle + 90 * sign, 1);
  const start = 10, head = Math.min(9, length), tip = [px + tx * (start + length), py + ty * (start + length)];
  const base = [tip[0] - tx * head, tip[1] - ty * head], wing = [-ty * head * 0.5, tx * head * 0.5];
  const corners = [tip, [base[0] + wing[0], base[1] + wing[1]], [base[0] - wing[0], base[1] - wing[1]]];
  return `<path class="descent" d="M${xy([px + tx * start, py + ty * start])}L${xy(base)}"/><path class="descent-head" d="M${corners.map(xy).join("L")}Z"/>`;
}

// ---- the handles ----------------------------------------------------------------------------------------------------

const SHAPES = {
  target: '<rect class="mark target" x="-8" y="-8" width="16" height="16"/>',
  support: '<circle class="mark support" r="9"/>',
  negative: '<circle class="mark negative" r="8"/>',
  embedding: '<path class="mark embedding-mark" d="M0 -11L11 0L0 11L-11 0Z"/>',
};

// Handles of w0 to w3 and x in a group; `move(which, degrees)` is called where one is dragged or turned by keys from the
// angle that `angle(which)` says. Keys may come faster than the page is drawn.
export function addHandles(group, { angle, move, select }) {
  return ["0", "1", "2", "3", "x"].map((which) => {
    const handle = document.createElementNS("http://www.w3.org/2000/svg", "g");
    Object.entries({ class: "handle", id: `handle-${which}`, tabindex: 0, role: "slider", "aria-valuemin": -180, "aria-valuemax": 180 })
      .forEach(([name, value]) => handle.setAttribute(name, value));
    handle.addEventListener("focus", () => select(which));
    handle.addEventListener("keydown", (event) => onKey(event, angle(which), (degrees) => move(which, degrees)));
    onDrag(handle, (degrees) => move(which, degrees));
    return group.appendChild(handle);
  });
}

function onKey(event, now, move) {
  const step = event.shiftKey ? 10 * STEP : STEP;
  const to = {
    ArrowRight: now + step, ArrowUp: now + step, ArrowLeft: now - step, ArrowDown: now - step,
    PageUp: now + 10 * STEP, PageDown: now - 10 * STEP, Home: 0, End: 180,
  }[event.key];
  if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  move(to);
}

// A touch that begins on a handle drags it; everywhere else it scrolls the page. With CSS's
// touch-action alone Chromium took the drag over after one step.
function onDrag(handle, move) {
  handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(handle.ownerSVGElement.getScreenCTM().inverse());
    move(Math.round((Math.atan2(-y, x) * 180) / Math.PI));
  });
}

export function placeHandle(handle, state, { step }, isSelected) {
  const which = handle.id.slice(-1), isX = which === "x", angle = isX ? state.x : state.w[which];
  const role = isX ? "embedding" : roleOf(step, Number(which));
  const words = isX ? `${angle} degrees` : `${angle} degrees, cosine ${general(step.c[which], 3)}, ${ROLES[role]}`;
  handle.setAttribute("transform", `translate(${xy(at(angle, isX ? OF_X : R))})`);
  handle.setAttribute("aria-label", isX ? "embedding x, its angle" : `class centre w${which}, its angle`);
  handle.setAttribute("aria-valuenow", angle);
  handle.setAttribute("aria-valuetext", words);
  handle.classList.toggle("selected", isSelected);
  const drawn = `<circle class="hit" r="21"/><circle class="ring" r="15"/>${SHAPES[role]}`;
  if (handle.dataset.drawn !== role) handle.innerHTML = drawn;
  handle.dataset.drawn = role;
}
