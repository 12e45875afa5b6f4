// The loss of one row and its gradients, line by line as svref/reference.py has them. Numbers in parentheses are the
// equations of docs/explanation/derivation.md. Everything is relative to the target: nothing cancels, nothing overflows.

const { PI, abs, atan2, cos, exp, log, log1p, max, sin, sqrt } = Math;

// ---- the target's angle, by its cosine and its sine -----------------------------------------------------------------

export function angleOf(c) {
  const sine = sqrt((1 - c) * (1 + c)); // (4): 1 - c*c would cancel
  return { c, sine, theta: atan2(sine, c) };
}

const cosPlus = ({ c, sine }, m) => (m === 0 ? c : c * cos(m) - sine * sin(m)); // (24)
const sinPlus = ({ c, sine }, m) => (m === 0 ? sine : sine * cos(m) + c * sin(m)); // (24)

// ---- the margins: f and its derivatives by the cosine, the angle and the parameters; side says which formula holds ---

export function noMargin() {
  return {
    angular: false, side: () => 0,
    value: ({ c }) => c, byCosine: () => 1, byAngle: ({ sine }) => -sine, byParameter: () => ({}), // (22)
  };
}

export function additiveCosine({ m }) {
  return { ...noMargin(), value: ({ c }) => c - m, byParameter: () => ({ m: -1 }) }; // (23)
}

export function additiveAngle({ m }, tail = "raw") {
  const isBeyond = (angle) => tail !== "raw" && sinPlus(angle, m) < 0; // θ + m > π
  const withTail = (angle, paper, beyond) => (isBeyond(angle) ? beyond[tail] : paper); // (27)
  const steep = ({ c, sine }) => (m === 0 ? 1 : cos(m) + (c * sin(m)) / sine); // (26); a signed infinity at σ = 0
  return {
    angular: true, side: (angle) => Number(isBeyond(angle)),
    value(angle) {
      const f = cosPlus(angle, m);
      return withTail(angle, f, { linear: angle.c - m * sin(m), plain: angle.c, reflect: -2 - f });
    },
    byCosine: (angle) => withTail(angle, steep(angle), { linear: 1, plain: 1, reflect: -steep(angle) }),
    byAngle(angle) {
      const sine = sinPlus(angle, m);
      return withTail(angle, -sine, { linear: -angle.sine, plain: -angle.sine, reflect: sine }); // (25)
    },
    byParameter(angle) {
      const sine = sinPlus(angle, m);
      return { m: withTail(angle, -sine, { linear: -(sin(m) + m * cos(m)), plain: 0, reflect: sine }) };
    },
  };
}

// T_m(c) = cos mθ and U_{m-1}(c) = sin mθ / sin θ, without an angle (29)
function chebyshev(c, m) {
  let [cosine, sineOverSine] = [c, 1];
  for (let n = 1; n < m; n++) {
    [cosine, sineOverSine] = [c * cosine - (1 - c) * (1 + c) * sineOverSine, cosine + c * sineOverSine];
  }
  return [cosine, sineOverSine];
}

export function multiplicativeAngle({ m }) {
  const piece = ({ c }) => { // how many ends of pieces cos(jπ/m) are at or above c (28)
    let k = 0;
    for (let j = 1; j < m; j++) k += c <= cos((j * PI) / m);
    return k;
  };
  const sign = (angle) => 1 - 2 * (piece(angle) % 2);
  const slope = (angle) => sign(angle) * m * chebyshev(angle.c, m)[1]; // (30)
  return {
    angular: true, side: piece,
    value: (angle) => sign(angle) * chebyshev(angle.c, m)[0] - 2 * piece(angle),
    byCosine: slope, byAngle: (angle) => -angle.sine * slope(angle), byParameter: () => ({}),
  };
}

export function combined({ m1, m2, m3 }) {
  const angular = m1 !== 1 || m2 !== 0;
  const cosPhi = (angle) => (m1 === 1 ? cosPlus(angle, m2) : cos(m1 * angle.theta + m2));
  const sinPhi = (angle) => (m1 === 1 ? sinPlus(angle, m2) : sin(m1 * angle.theta + m2));
  const byCosine = (angle) => (angle.sine === 0 ? limitAtPole(angle.c) : (m1 * sinPhi(angle)) / angle.sine); // (32)
  function limitAtPole(c) { // (33)
    const turns = m1 % 2;
    if (c > 0) return m2 === 0 ? m1 * m1 : Infinity;
    if (m2 === 0 && (turns === 0 || turns === 1)) return m1 * m1 * (turns ? 1 : -1);
    const sine = turns === 0 || turns === 1 ? (1 - 2 * turns) * m2 : sin(turns * PI + m2);
    return sine < 0 ? -Infinity : Infinity;
  }
  return {
    angular, side: () => 0,
    value: (angle) => cosPhi(angle) - m3,
    byCosine: (angle) => (angular ? byCosine(angle) : 1),
    byAngle: (angle) => -m1 * sinPhi(angle),
    byParameter(angle) {
      const exists = abs(angle.c) <= 1, sine = exists ? sinPhi(angle) : 0;
      return { m1: exists ? -angle.theta * sine : 0, m2: -sine, m3: -1 };
    },
  };
}

// ---- around a margin: what public code does to it -------------------------------------------------------------------

export function easyMargin(margin, above = 0) { // (34): the margin only where c > above
  const part = (inside, outside) => (angle) => (angle.c > above ? inside(angle) : outside(angle));
  const none = (angle) => Object.fromEntries(Object.keys(margin.byParameter(angle)).map((name) => [name, 0]));
  return {
    angular: margin.angular, side: part((angle) => 1 + margin.side(angle), () => 0),
    value: part(margin.value, ({ c }) => c), byCosine: part(margin.byCosine, () => 1),
    byAngle: part(margin.byAngle, ({ sine }) => -sine), byParameter: part(margin.byParameter, none),
  };
}

export function straightThrough(margin) { // (35): the value of f, the slope of the cosine
  return { ...margin, byCosine: () => 1, byAngle: ({ sine }) => -sine };
}

// ---- forward: cosines and a label in, every quantity up to the loss out ---------------------------------------------

export function forward({ margin, s, t, form = "adaptive" }, c, y) {
  const angle = angleOf(c[y]), f = margin.value(angle); // (3)
  const mask = c.map((c_k, k) => k !== y && c_k > f); // (5): strictly, and never the label
  const growth = c.map((c_k) => (form === "adaptive" ? c_k + 1 : 1));
  const logH = c.map((_, k) => s * (t - 1) * growth[k] * mask[k]); // (6)
  const r = c.map((c_k, k) => (k === y ? -Infinity : s * (c_k - f) + logH[k])); // (10)
  const a = logSumExp(r); // (11)
  return { margin, s, t, form, c, y, angle, f, mask, growth, logH, r, a, q: sigmoid(a), loss: softplus(a) };
}

export function probabilities({ r, a, q, y }) {
  return r.map((r_k, k) => (k === y ? sigmoid(-a) : q * share(r_k, a))); // (16)
}

// ---- backward: the gradient of the loss times its cotangent g -------------------------------------------------------

export function backward({ margin, s, t, form, c, y, angle, mask, growth, r, a, q }, g = 1) {
  const shares = r.map((r_k) => share(r_k, a)), negatives = [...c.keys()].filter((k) => k !== y);
  const sum = (term) => negatives.reduce((total, k) => total + shares[k] * term(k), 0);
  const isDead = g === 0 || a === -Infinity; // a cotangent of 0, or no negatives
  const timesDf = (df) => (isDead ? 0 : abs(df) === Infinity ? df * -Math.sign(g) : -s * g * q * df);
  const slope = (k) => (form === "adaptive" ? 1 + (t - 1) * mask[k] : 1); // (7)
  const cosines = shares.map((share_k, k) => s * g * q * share_k * slope(k)); // (17)
  cosines[y] = timesDf(margin.byCosine(angle)); // (18)
  const byParameter = Object.entries(margin.byParameter(angle)).map(([name, df]) => [name, timesDf(df)]); // (21)
  return {
    cosines: cosines.map((d) => d + 0), // + 0 takes the sign from a negative zero
    s: g * q * sum((k) => r[k] / s) + 0, // (19)
    t: g * q * sum((k) => s * growth[k] * mask[k]) + 0, // (20), (8)
    margin: Object.fromEntries(byParameter.map(([name, d]) => [name, d + 0])),
    angle: timesDf(margin.byAngle(angle)) + 0, // (38): by the target's angle, finite at every angle
  };
}

// ---- sums of exponentials without overflow --------------------------------------------------------------------------

function logSumExp(r) {
  const peak = max(...r);
  return peak === -Infinity ? peak : peak + log(r.reduce((total, v) => total + exp(v - peak), 0));
}

const share = (r_k, a) => exp(r_k - (a === -Infinity ? 0 : a)); // e^{r_k - a}, of the error q
const softplus = (a) => max(a, 0) + log1p(exp(-abs(a))); // (13, 14): log(1 + e^a)
const sigmoid = (a) => (a > 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a))); // (15)

// What most code writes instead; on a converged row nothing of the loss is left in it.
export function textbookLoss({ c, y, f, s, logH }) {
  const z = c.map((c_k, k) => (k === y ? s * f : s * c_k + logH[k])), peak = max(...z);
  return peak + log(z.reduce((total, v) => total + exp(v - peak), 0)) - z[y];
}
