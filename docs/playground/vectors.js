// The judge: svref's golden vectors, by the rule of docs/reference/vectors.md.
//   check(group) takes one parsed group file of a pack and returns, for each output, how many elements are right, wrong,
//   vacuous (the tolerance reaches the value) or left to policy (a pole), and the worst error in units of the tolerance.
import { additiveAngle, additiveCosine, backward, combined, forward, multiplicativeAngle, noMargin } from "./loss.js";
import { checkParameters, checkRows } from "./checks.js";

export const MARGINS = { none: noMargin, am: additiveCosine, arc: additiveAngle, a: multiplicativeAngle, combined };

const U = 2 ** -53, TINY = 2 ** -1022; // of float64: half the spacing at 1, and the smallest normal number

// "sv-am-softmax" -> { margin: "am", form: "adaptive" }; undefined for a name that is no variant of this page
export function variantOf(name) {
  const found = /^(?:(sv|mv)-)?(?:(am|arc|a|combined)-)?softmax$/.exec(name);
  return found ? { margin: found[2] ?? "none", form: found[1] === "mv" ? "fixed" : "adaptive" } : undefined;
}

export function check(group) {
  const counts = { unsupported: 0 }, variant = variantOf(group.variant);
  for (const one of group.cases) {
    if (!variant || one.level !== "cosine" || !one.dtypes.includes("float64")) counts.unsupported += 1;
    else if (one.result === "error") add(counts, "error", { right: refuses(variant, one), error: 0 });
    else judgeCase(counts, variant, one);
  }
  return counts;
}

function judgeCase(counts, variant, one) {
  const { loss, rows, labels, cotangent } = asked(variant, one);
  rows.forEach((c, b) => {
    const step = forward(loss, c, labels[b]), ways = waysOf(one, b);
    if (ways.length === 1 && one.decisive.float64[b] === "0") return; // rounding decides, and no branch is known
    const answers = answersOf(step, backward(step, cotangent[b]), cotangent[b]);
    const judged = ways.map((way) => judgeRow(way, answers, loss, labels[b]));
    const worst = judged.map((elements) => Math.max(...elements.map((e) => e.error)));
    for (const e of judged[worst.indexOf(Math.min(...worst))]) add(counts, e.output, e);
  });
}

// ---- what a case asks, and what the page answers --------------------------------------------------------------------

function asked(variant, one) {
  const { s, t = 1, ...margin } = one.parameters;
  checkParameters(variant.margin, { s, t, ...margin });
  const made = MARGINS[variant.margin](margin), labels = numbers(one.inputs.labels.data), C = one.inputs.cosines.shape[1];
  const rows = Array.from({ length: one.inputs.cosines.shape[0] }, (_, b) => part(one.inputs.cosines, b, C).data);
  checkRows(rows, labels, made.angular);
  return { loss: { margin: made, s, t, form: variant.form }, rows, labels, cotangent: numbers(one.inputs.cotangent.data) };
}

function refuses(variant, one) {
  try {
    asked(variant, one);
  } catch (error) {
    return error instanceof RangeError;
  }
  return false;
}

// Each output: its key in the file, its numbers of this row, and the factor of its tolerance.
function answersOf(step, gradients, cotangent) {
  const factor = Math.abs(cotangent), margins = Object.entries(gradients.margin);
  return [
    { output: "loss", key: "loss", got: [step.loss], factor: 1 },
    { output: "grad_cosines", key: "cosines", got: gradients.cosines, factor },
    { output: "grad_s", key: "s", got: [gradients.s], factor },
    { output: "grad_t", key: "t", got: [gradients.t], factor },
    ...margins.map(([name, d]) => ({ output: `grad_${name}`, key: `margin.${name}`, got: [d], factor })),
    { output: "mask", key: "mask", got: step.mask.map(Number), factor: 0 },
  ];
}

// ---- what is right: the certified row, and every other way to take decisions that rounding may turn over ------------

function waysOf(one, b) {
  const certified = (key, n) => ({ ...part(one.expected[key], b, n), K: part(one.scales[key], b, n).data });
  const branch = ({ expected, scales }) => (key, n) => ({ ...part(expected[key], 0, n), K: part(scales[key], 0, n).data });
  const others = one.branches.filter(({ dtype, row }) => dtype === "float64" && row === b);
  const atPole = one.poles[b] === "1";
  return [{ mask: one.expected.mask[b], of: certified }, ...others.map((o) => ({ mask: o.mask, of: branch(o) }))]
    .map((way) => ({ ...way, atPole }));
}

const numbers = (values) => values.map(Number); // "Infinity", "-Infinity" and "NaN" are strings in JSON

// Row b, of n numbers, of a flat tensor.
function part(tensor, b, n) {
  const row = (name) => numbers((tensor[name] ?? []).slice(b * n, (b + 1) * n));
  const data = row("data");
  if (data.length !== n) throw new Error("a tensor has too few numbers");
  return { data, lo: tensor.lo ? row("lo") : data.map(() => 0) };
}

// ---- the comparison -------------------------------------------------------------------------------------------------

function judgeRow({ mask, of, atPole }, answers, { s, t }, y) {
  const C = mask.length;
  return answers.flatMap(({ output, key, got, factor }) => {
    const right = key === "mask" ? { data: numbers([...mask]), lo: got.map(() => 0), K: got.map(() => 0) } : of(key, got.length);
    return got.map((value, k) => {
      const allowed = (8 * U * right.K[k] * (1 + C / 128) + 4 * Math.max(1, s * t) * TINY) * factor;
      const isPole = atPole && key === "cosines" && k === y;
      return { output, ...(isPole ? atThePole : judged)(value, right.data[k], right.lo[k], allowed) };
    });
  });
}

// Near the right value data + lo the difference got - data is exact. `right` is false for NaN, as it must be.
function judged(got, data, lo, allowed) {
  const distance = Math.abs(got - data - lo), right = distance <= allowed;
  const vacuous = right && allowed > 0 && allowed >= Math.abs(data) && !(got === 0 && data === 0);
  return { right, vacuous, error: distance === 0 ? 0 : Number.isFinite(distance) ? distance / allowed : Infinity };
}

// Where df/dc_y is infinite, which number stands there is a policy; the other infinity is wrong.
function atThePole(got, data, lo, allowed) {
  const policy = Math.abs(data) === Infinity ? got !== -data : got === 0 || !Number.isFinite(got);
  return policy ? { right: true, policy, error: 0 } : judged(got, data, lo, allowed);
}

function add(counts, output, { right, vacuous = false, policy = false, error }) {
  counts[output] ??= { passed: 0, failed: 0, vacuous: 0, policy: 0, worst: 0 };
  const count = counts[output];
  count[right ? (policy ? "policy" : vacuous ? "vacuous" : "passed") : "failed"] += 1;
  count.worst = Math.max(count.worst, error);
}
