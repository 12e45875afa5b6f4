// SV-AM-Softmax in plain JavaScript, judged by svref's golden vectors. It uses nothing of svref but the files.
//   node docs/examples/sv_am.mjs svref/golden/vectors/core
// Exit code: 0 right, 1 wrong, 2 usage, 3 the vectors cannot be read. sv_am.cpp is the same program in C++.
// It reads neither `decisive` nor `branches`: no case of sv-am-softmax in core needs them in float64. Others do.
import { readFileSync } from "node:fs";

const { abs, exp, log, log1p, max } = Math;

// ---- the loss of one sample, forward beside backward ----------------------------------------------------------------

function logSumExp(r) {
  const peak = max(...r);
  if (peak === -Infinity) return peak; // one class has no negatives, and -inf - -inf would be NaN
  return peak + log(r.reduce((total, v) => total + exp(v - peak), 0));
}

// L = log(1 + exp a), a = log sum_{k != y} exp r_k, r_k = s (c_k - f) + log h_k, f = c_y - m.
// Everything is relative to the target, so nothing cancels: logsumexp(z) - z_y loses every digit of a small loss.
function forward({ s, m, t }, c, y) {
  const f = c[y] - m;
  // strictly: a tie is no support vector; the label's column is no negative, hence never one
  const mask = c.map((c_k, k) => k !== y && c_k > f);
  const r = c.map((c_k, k) => (k === y ? -Infinity : s * (c_k - f) + mask[k] * s * (t - 1) * (c_k + 1)));
  const a = logSumExp(r);
  return { a, r, mask, loss: max(a, 0) + log1p(exp(-abs(a))) };
}

// dL/dc_k = s p_k slope_k, p_k = q exp(r_k - a), slope_k = t for a support vector, else 1. The mask is held constant.
// dL/dc_y = -s q, as df/dc = 1, with q = 1 - p_y = exp a / (1 + exp a). Never p_y - 1, which cancels; and q has a
// form for each sign of a, so that exp does not overflow.
function backward({ s, t }, { a, r, mask }, y, cotangent) {
  const q = a > 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a));
  return r.map((r_k, k) => {
    const p_k = q * exp(r_k - a), slope = mask[k] ? t : 1;
    return cotangent * (k === y ? -s * q : s * p_k * slope);
  });
}

// ---- the judge: |error| <= 8 u K (1 + C/128) g + 4 max(1, s t) tiny max(1, g), g = |cotangent|, 1 for losses -------

function tolerance({ s, t }, C, K, g = 1) {
  return 8 * 2 ** -53 * K * (1 + C / 128) * g + 4 * max(1, s * t) * 2 ** -1022 * max(1, g);
}

// The right value is data + lo; near it `got - data` is exact. `right` is false for NaN, as it must be.
function judge(count, what, k, got, data, lo, allowed) {
  const error = abs(got - data - lo);
  const right = error <= allowed, zero = got === 0 && data === 0;
  if (!right && count.wrong === 0) console.log(`first departure  ${what}[${k}] = ${got}, but should be ${data}`);
  count.elements += 1;
  count.wrong += !right;
  count.vacuous += right && !zero && allowed >= abs(data); // such an element says nothing
  count.worst = max(count.worst, error === 0 ? 0 : error < Infinity ? error / allowed : Infinity);
}

// ---- the files ------------------------------------------------------------------------------------------------------

function parsed(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    throw new Error(`${path} is missing or no JSON`);
  }
}

// Row b, of n numbers, of a tensor, which is flat and in row-major order. A missing number is an error.
// JSON has no infinity and no NaN: the strings "Infinity", "-Infinity" and "NaN" stand for them.
function part(tensor, b, n, which = "data") {
  const row = tensor[which].slice(b * n, (b + 1) * n).map(Number);
  if (row.length !== n) throw new Error("a tensor has too few numbers");
  return row;
}

// One sample: its mask, which has no rounding, its loss, and its gradient for the cotangent of the file.
function judgeRow(count, { id, inputs, expected, scales, parameters: p }, b) {
  const C = inputs.cosines.shape[1], [y] = part(inputs.labels, b, 1), [cotangent] = part(inputs.cotangent, b, 1);
  const step = forward(p, part(inputs.cosines, b, C), y), where = `${id} row ${b}`;
  const compare = (name, got, factor) => {
    const [data, lo] = ["data", "lo"].map((which) => part(expected[name], b, got.length, which));
    const K = part(scales[name], b, got.length);
    got.forEach((v, k) => judge(count, `${where} ${name}`, k, v, data[k], lo[k], tolerance(p, C, K[k], factor)));
  };
  step.mask.forEach((v, k) => judge(count, `${where} mask`, k, Number(v), Number(expected.mask[b][k]), 0, 0));
  compare("loss", [step.loss], 1);
  compare("cosines", backward(p, step, y, cotangent), abs(cotangent));
}

function judgeCase(count, one) {
  if (one.result === "error") return count.errors++; // inputs that must raise: forward checks nothing
  if (one.level === "head") return count.heads++; // embeddings and weights: not this program's work
  for (let b = 0; b < one.inputs.labels.shape[0]; b++) judgeRow(count, one, b);
  return count.cases++;
}

function judgePack(directory) {
  const manifest = parsed(`${directory}/manifest.json`);
  if (manifest.format !== "svref-vectors/1") throw new Error("the format is not svref-vectors/1");
  const all = { cases: 0, elements: 0, wrong: 0, vacuous: 0, errors: 0, heads: 0, worst: 0 };
  for (const name of Object.keys(manifest.files).sort()) {
    if (!name.startsWith("groups/sv-am-softmax/")) continue;
    const before = { ...all };
    const { group, cases } = parsed(`${directory}/${name}`);
    for (const one of cases) judgeCase(all, one);
    const [elements, wrong] = [all.elements - before.elements, all.wrong - before.wrong];
    console.log(`      ${group.padEnd(10)} ${String(elements).padStart(3)} elements, ${wrong} wrong`);
  }
  if (all.cases === 0) throw new Error(`${directory} holds no case of sv-am-softmax`);
  return all;
}

function verdict(n) {
  return (
    `${n.wrong ? "FAIL" : "PASS"}  sv-am-softmax  ${n.cases} cases, ${n.elements} elements, ${n.wrong} wrong, ` +
    `worst ${n.worst.toFixed(2)} times the tolerance, ${n.vacuous} vacuous, ` +
    `${n.errors} error cases skipped, ${n.heads} head cases skipped`
  );
}

function main(words) {
  if (words.length !== 1) {
    console.error("usage: sv_am.mjs PACK, e.g. sv_am.mjs svref/golden/vectors/core");
    return 2;
  }
  try {
    const count = judgePack(words[0]);
    console.log(verdict(count));
    return count.wrong ? 1 : 0;
  } catch (error) {
    console.error(`the vectors cannot be read: ${error.message}`);
    return 3;
  }
}

process.exitCode = main(process.argv.slice(2));
