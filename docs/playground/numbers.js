// The numbers as `svref explain` prints them, and the command that prints them.
import { computed, PARAMETERS } from "./model.js";
import { probabilities } from "./loss.js";

// ---- numbers as Python writes them ----------------------------------------------------------------------------------

// Python's format(value, "{width}{plus}.{digits}g").
export function general(value, digits, { plus = false, width = 0 } = {}) {
  const sign = value < 0 || Object.is(value, -0) ? "-" : plus ? "+" : "";
  return (sign + magnitude(Math.abs(value), digits)).padStart(width);
}

function magnitude(value, digits) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : "inf";
  if (value === 0) return "0";
  const [figures, exponent] = rounded(value, digits);
  const short = figures.replace(/0+$/, "");
  if (exponent < -4 || exponent >= digits) return scientific(short, exponent);
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${short}`;
  const whole = figures.slice(0, exponent + 1), rest = short.slice(exponent + 1);
  return rest ? `${whole}.${rest}` : whole;
}

function scientific(figures, exponent) {
  const power = `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  return `${figures[0]}${figures.length > 1 ? `.${figures.slice(1)}` : ""}e${power}`;
}

// The first digits of a number and its exponent; halfway between two, the even one, where toPrecision takes the larger.
function rounded(value, digits) {
  const [, first, rest, exponent] = /^(\d)\.(\d+)e([+-]\d+)$/.exec(value.toExponential(60)), all = first + rest;
  const isHalf = /^50*$/.test(all.slice(digits)) && Number(all[digits - 1]) % 2 === 0;
  if (isHalf) return [all.slice(0, digits), Number(exponent)];
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  return [mantissa.replace(".", ""), Number(power)];
}

// Python's repr of a float.
export function repr(value) {
  const [mantissa, power] = value.toExponential().split("e"), exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

const list = (values) => `[${values.map((v) => general(v, 6)).join(", ")}]`;

// ---- the loss by its name -------------------------------------------------------------------------------------------

export function parametersOf(state) {
  return Object.fromEntries(["s", ...PARAMETERS[state.margin], "t"].map((name) => [name, state[name]]));
}

// The name of svref's variant, or undefined where only the parts of svref make this loss.
export function variantName({ margin, form, tail, easy, straight }) {
  if (easy || straight || (margin === "arc" && tail !== "raw")) return undefined;
  if (form === "fixed") return ["am", "arc"].includes(margin) ? `mv-${margin}-softmax` : undefined;
  return margin === "none" ? "sv-softmax" : `sv-${margin}-softmax`;
}

function marginRepr({ margin, m, m1, m2, m3, tail, easy, straight }) {
  let made = {
    none: () => "NoMargin()", am: () => `AdditiveCosine(m=${repr(m)})`,
    arc: () => `AdditiveAngle(m=${repr(m)}, tail='${tail}')`, a: () => `MultiplicativeAngle(m=${m}, annealing=0.0)`,
    combined: () => `Combined(m1=${repr(m1)}, m2=${repr(m2)}, m3=${repr(m3)})`,
  }[margin]();
  if (easy) made = `EasyMargin(margin=${made}, above=0.0)`;
  return straight ? `StraightThrough(margin=${made})` : made;
}

// What to type to see the same numbers: a command, or Python where the loss has no name.
export function commandOf(state) {
  const name = variantName(state), { cosines } = computed(state);
  if (name) {
    const given = Object.entries(parametersOf(state)).map(([key, value]) => `--with ${key}=${value}`).join(" ");
    return `svref explain --cosines="${cosines.join(" ")}" \\\n  --label ${state.label} --loss ${name} ${given}`;
  }
  const given = Object.entries(parametersOf(state)).map(([key, value]) => `"${key}": ${value}`).join(", ");
  return [
    "import numpy as np",
    "from svref import *",
    "from svref.explain import explain",
    `margin = ${marginRepr(state)}`,
    `loss = SVXSoftmax(margin, SupportVectors(t=${state.t}, form="${state.form}"), s=${state.s})`,
    `step = loss.forward(np.array([[${cosines.join(", ")}]]), [${state.label}])`,
    `print(explain(step, parameters={${given}}), end="")`,
  ].join("\n");
}

// ---- the text of `svref explain` ------------------------------------------------------------------------------------

const FORMULAS = {
  none: "c_y", am: "c_y - m", arc: "cos(θ_y + m)", a: "(-1)^j cos(m θ_y) - 2j", combined: "cos(m1 θ_y + m2) - m3",
};

export function explained(state) {
  const { step, gradients } = computed(state), name = variantName(state);
  const named = Object.entries(parametersOf(state)).map(([key, value]) => `${key} = ${general(value, 6)}`).join(", ");
  const head = [...(name ? [`${name}, --cosines`] : []), `${named}; label y = ${step.y}`, `cosines  ${list(step.c)}`];
  const sections = [head, targetLines(state, step), negativeLines(step), lossLines(step), gradientLines(step, gradients)];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function targetLines(state, { margin, angle, f }) {
  const { c, theta, sine } = angle, isPlain = !state.easy && !state.straight;
  const formula = isPlain ? FORMULAS[state.margin] : marginRepr(state);
  const seen = margin.angular ? `,  θ_y = ${general(theta, 6)} rad,  σ = sin θ_y = ${general(sine, 6)}` : "";
  const piece = formula.includes("2j") ? ", with j = min(floor(m θ_y / π), m - 1)" : "";
  return ["1  target", `   c_y = ${general(c, 6)}${seen}`, `   f = ${formula} = ${general(f, 6)}${piece}   (3)`];
}

function negativeLines(step) {
  const { s, t, form, mask, c } = step, strength = general(s * (t - 1), 6);
  let amount = form === "fixed" ? `s (t - 1) = ${strength}` : `s (t - 1)(c_k + 1) = ${strength} (c_k + 1)`;
  if (t === 1) amount = "0: t = 1 is no emphasis, for";
  const p = probabilities(step);
  return [
    "2  negatives",
    `   I_k = [c_k > f]: ${mask.filter(Boolean).length} of ${c.length - 1} are support vectors   (5)`,
    `   log h_k = ${amount} for each of them, else 0   (6)`,
    "   r_k = s (c_k - f) + log h_k, relative to the target's logit   (10)",
    "   p_k = q exp(r_k - a), with q and a below   (16)",
    `   ${"k".padStart(4)} ${["c_k", "c_k - f"].map((v) => v.padStart(11)).join(" ")}  I_k ${["h_k", "r_k", "p_k"].map((v) => v.padStart(11)).join(" ")}`,
    ...c.map((_, k) => classLine(step, p, k)),
  ];
}

function classLine({ c, f, y, mask, logH, r }, p, k) {
  const cell = (value, digits, plus = false) => general(value, digits, { plus, width: 11 }), gap = " ".repeat(11);
  const start = `   ${String(k).padStart(4)} ${cell(c[k], 6)} `;
  if (k === y) return `${start}${gap}   y  ${gap} ${gap} ${cell(p[k], 5)}`;
  const mark = mask[k] ? "1" : "0", h = Math.exp(logH[k]);
  return `${start}${cell(c[k] - f, 5, true)}   ${mark}  ${cell(h, 6)} ${cell(r[k], 6, true)} ${cell(p[k], 5)}`;
}

function lossLines({ a, loss, q }) {
  return [
    `   a = log Σ exp r_k = ${general(a, 9)}, the log-odds against the target   (11)`,
    `   L = log(1 + exp a) = ${general(loss, 9)}   (14)`,
    `   q = 1 - p_y = exp a/(1 + exp a) = ${general(q, 9)}   (15)`,
  ];
}

function gradientLines({ margin, angle, form, t }, gradients) {
  const growth = form === "adaptive" && t > 1 ? ", for a support vector s p_k t" : "";
  return [
    "3  gradient",
    `   dL/dc_k = s p_k${growth}   (17)`,
    `   dL/dc_y = -s q f'(c_y), with f'(c_y) = ${general(margin.byCosine(angle), 6)}   (18)`,
    `   dL/dc = ${list(gradients.cosines)}`,
    `   dL/ds = Σ p_k r_k / s = ${general(gradients.s, 6)}   (19)`,
    `   dL/dt = Σ p_k dlog h_k/dt = ${general(gradients.t, 6)}   (20)`,
    ...Object.entries(gradients.margin).map(([name, d]) => `   dL/d${name} = -s q df/d${name} = ${general(d, 6)}   (21)`),
  ];
}
