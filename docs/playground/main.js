// The page: controls and handles change the state, and the state draws everything.
import { check } from "./vectors.js";
import { byAngles, computed, PARAMETERS, PRESETS, row, stateOf, USUAL_M, wrapped } from "./model.js";
import { faultOf } from "./checks.js";
import { commandOf, explained, general } from "./numbers.js";
import { fragmentOf, stateOfFragment } from "./link.js";
import { addHandles, background, placeHandle } from "./scene.js";
import { HEIGHT, plotOf } from "./plot.js";
import { probabilities, textbookLoss } from "./loss.js";

const $ = (id) => document.getElementById(id);
const page = { state: stateOfFragment(location.hash), preset: location.hash ? "" : "example" };

// ---- the state changes ----------------------------------------------------------------------------------------------

function change(changes, preset = "") {
  Object.assign(page.state, changes);
  page.preset = preset;
  requestAnimationFrame(draw);
}

const angleNow = (which) => (which === "x" ? page.state.x : page.state.w[which]);

function move(which, degrees) {
  if (which === "x") return change({ x: wrapped(degrees) });
  return change({ w: page.state.w.map((w, k) => (k === Number(which) ? wrapped(degrees) : w)) });
}

function select(which) {
  if (which !== page.state.moved) change({ moved: which }, page.preset);
}

function choosePreset(name) {
  change(stateOf(PRESETS[name].state), name);
}

// ---- the controls ---------------------------------------------------------------------------------------------------

const RANGE = { // what the sliders reach; the boxes beside them take any valid number
  s: [1, 64, 0.5], t: [1, 3, 0.01], am: [0, 1, 0.01], arc: [0, 1.5, 0.01], a: [1, 8, 1], m1: [0.5, 4, 0.05], m2: [0, 1.5, 0.01], m3: [0, 1, 0.01],
};

function wireControls() {
  for (const key of ["margin", "form", "tail"]) $(key).addEventListener("change", (event) => choose(key, event.target.value));
  for (const key of ["easy", "straight"]) $(key).addEventListener("change", (event) => change({ [key]: event.target.checked }));
  for (let k = 0; k < 4; k++) $(`label-${k}`).addEventListener("change", () => change({ label: k }));
  for (const key of ["s", "t", "m", "m1", "m2", "m3"]) {
    for (const input of [$(key), $(`${key}-range`)]) input.addEventListener("input", () => setNumber(key, input));
  }
  for (const name of Object.keys(PRESETS)) $(`preset-${name}`).addEventListener("click", () => choosePreset(name));
  $("reset").addEventListener("click", () => choosePreset("example"));
  $("copy").addEventListener("click", copyLink);
  $("groups").addEventListener("change", judgeFiles);
}

function choose(key, value) {
  change(key === "margin" && USUAL_M[value] !== undefined ? { margin: value, m: USUAL_M[value] } : { [key]: value });
}

function setNumber(key, input) {
  const value = input.value.trim() === "" ? NaN : Number(input.value), fault = faultOf(page.state.margin, key, value);
  $(key).setAttribute("aria-invalid", String(fault !== ""));
  $("fault").textContent = fault && `${fault} The last valid value holds.`;
  if (!fault) change({ [key]: value });
}

function showControls(state) {
  for (const key of ["margin", "form", "tail"]) $(key).value = state[key];
  for (const key of ["easy", "straight"]) $(key).checked = state[key];
  $(`label-${state.label}`).checked = true;
  $("tail").disabled = state.margin !== "arc";
  for (const key of ["m", "m1", "m2", "m3"]) $(`row-${key}`).hidden = !PARAMETERS[state.margin].includes(key);
  for (const key of ["s", "t", ...PARAMETERS[state.margin]]) showNumber(key, state);
}

function showNumber(key, state) {
  const [low, high, step] = RANGE[key] ?? RANGE[state.margin], range = $(`${key}-range`);
  Object.assign(range, { min: low, max: high, step, value: state[key] });
  $(key).step = step;
  if (Number($(key).value) !== state[key] && $(key).getAttribute("aria-invalid") !== "true") $(key).value = state[key];
}

// ---- the numbers ----------------------------------------------------------------------------------------------------

function showTable(state, { step, gradients }) {
  const p = probabilities(step), along = byAngles(state, { step, gradients });
  $("classes").innerHTML = step.c.map((c, k) => {
    const isTarget = k === step.y, role = isTarget ? "target" : step.mask[k] ? "support" : "negative";
    const words = { target: "target", support: "support vector", negative: "negative" }[role];
    const theta = general(Math.abs(wrapped(state.w[k] - state.x)), 4), show = (v) => general(v + 0, 5).replaceAll("-", "−").replace("inf", "∞");
    const own = isTarget ? ["", "", ""] : [step.mask[k] ? "1" : "0", show(Math.exp(step.logH[k])), show(step.r[k])];
    const cells = [`${theta}°`, show(c), ...own, show(p[k]), show(gradients.cosines[k]), show(along[k])];
    return `<tr class="${role}"><th scope="row">w${k} <span>${words}</span></th>${cells.map((v) => `<td>${v}</td>`).join("")}</tr>`;
  }).join("");
}

function showLoss({ step }) {
  const show = (v, digits) => general(v + 0, digits).replaceAll("-", "−").replace("inf", "∞");
  const values = { f: step.f, a: step.a, L: step.loss, q: step.q, textbook: textbookLoss(step), slope: step.margin.byCosine(step.angle), "slope-angle": step.margin.byAngle(step.angle) };
  for (const [name, value] of Object.entries(values)) $(`number-${name}`).textContent = show(value, 6);
}

function summaryOf(state, { step }) {
  const k = Number(state.moved), support = step.mask.filter(Boolean).length;
  const what = state.moved === "x" ? `Embedding at ${state.x}°` :
    `Class ${k} at ${state.w[k]}°: cosine ${general(step.c[k], 3)}, ${k === step.y ? "the target" : step.mask[k] ? "a support vector" : "no support vector"}`;
  const words = `${what}. f = ${general(step.f, 3)}, ${support} of 3 negatives above it, loss ${general(step.loss, 4)}.`;
  return words.replaceAll("-", "−");
}

// ---- the link -------------------------------------------------------------------------------------------------------

function showLink(state) {
  const fragment = fragmentOf(state), address = location.href.replace(/#.*$/, "");
  $("link").value = fragment ? `${address}#${fragment}` : address;
  if (location.hash.slice(1) !== fragment) history.replaceState(null, "", fragment ? `#${fragment}` : address);
}

async function copyLink() {
  $("link").select();
  try {
    await navigator.clipboard.writeText($("link").value);
    $("copied").textContent = "Copied.";
  } catch {
    $("copied").textContent = "Press Ctrl+C to copy the selected link.";
  }
}

// ---- the judge ------------------------------------------------------------------------------------------------------

async function judgeFiles(event) {
  const lines = [];
  for (const file of event.target.files) {
    try {
      const group = JSON.parse(await file.text()), { unsupported, ...outputs } = check(group);
      const count = (name) => Object.values(outputs).reduce((total, counts) => total + counts[name], 0);
      const worst = Math.max(0, ...Object.values(outputs).map((counts) => counts.worst));
      lines.push(`${group.variant} ${group.group}: ${count("passed")} passed, ${count("failed")} failed, ${count("vacuous")} vacuous, ` +
        `${count("policy")} at poles, ${unsupported} cases unsupported; worst ${general(worst, 2)} of the tolerance`);
    } catch (error) {
      lines.push(`${file.name} is no group file of a pack: ${error.message}`);
    }
  }
  $("verdict-own").textContent = lines.join("\n");
}

// ---- everything drawn from the state --------------------------------------------------------------------------------

let [said, handles] = [0, []];

function draw() {
  const { state, preset } = page, now = computed(state);
  $("behind").innerHTML = background(state, now);
  for (const handle of handles) placeHandle(handle, state, now, handle.id === `handle-${state.moved}`);
  $("plot").setAttribute("viewBox", `0 0 ${$("plot").clientWidth} ${HEIGHT}`);
  $("plot").innerHTML = plotOf(state, state.moved, $("plot").clientWidth);
  $("plot-title").textContent = `The loss along the angle of ${state.moved === "x" ? "the embedding" : `class ${state.moved}`}`;
  $("explained").textContent = explained(state);
  $("command").textContent = commandOf(state);
  $("preset-words").textContent = preset ? PRESETS[preset].words : "";
  for (const name of Object.keys(PRESETS)) $(`preset-${name}`).setAttribute("aria-pressed", String(name === preset));
  showControls(state);
  showTable(state, now);
  showLoss(now);
  clearTimeout(said);
  said = setTimeout(() => {
    $("summary").textContent = summaryOf(state, now);
    showLink(state);
  }, 150);
}

document.documentElement.classList.add("live");
$("scene").setAttribute("role", "group"); // the picture was an image until now
$("handles").replaceChildren();
handles = addHandles($("handles"), { angle: angleNow, move, select });
wireControls();
window.addEventListener("hashchange", () => change(stateOfFragment(location.hash)));
new ResizeObserver(() => requestAnimationFrame(draw)).observe($("plot"));
window.svref = { check, general, row: (changes, cosines, label) => row(stateOf(changes), cosines, label) }; // for tests
draw();
