// What inputs and parameters must be, with a clear error for what they must not. The ranges are svref's.

export const RANGES = { // margin -> parameter -> what it must be, in words and as a test
  none: {},
  am: { m: ["at least 0", (v) => v >= 0] },
  arc: { m: ["at least 0 and below π", (v) => v >= 0 && v < Math.PI] },
  a: { m: ["an integer from 1 to 1000", (v) => Number.isInteger(v) && v >= 1 && v <= 1000] },
  combined: {
    m1: ["above 0", (v) => v > 0],
    m2: ["at least 0 and below π", (v) => v >= 0 && v < Math.PI],
    m3: ["at least 0", (v) => v >= 0],
  },
};

const COMMON = { s: ["above 0", (v) => v > 0], t: ["at least 1 (t = 1 is off)", (v) => v >= 1] };

// The sentence that says what is wrong with a parameter, or "".
export function faultOf(margin, name, value) {
  const [words, holds] = { ...COMMON, ...RANGES[margin] }[name];
  return Number.isFinite(value) && holds(value) ? "" : `${name} must be ${words}; got ${value}.`;
}

export function checkParameters(margin, parameters) {
  for (const [name, value] of Object.entries(parameters)) {
    const fault = faultOf(margin, name, value);
    if (fault) throw new RangeError(fault);
  }
}

export function checkRows(rows, labels, angular) {
  if (labels.length !== rows.length) throw new RangeError(`there must be a label a row; got ${labels.length}.`);
  const bound = angular ? 1 : Number.MAX_VALUE, C = rows[0].length;
  const isCosine = (c) => Math.abs(c) <= bound; // false for NaN
  if (!rows.flat().every(isCosine)) throw new RangeError(`cosines must be finite, and in [-1, 1] under an angle.`);
  const wrong = labels.find((y) => !Number.isInteger(y) || y < 0 || y >= C);
  if (wrong !== undefined) throw new RangeError(`labels must be class indices below C = ${C}; got ${wrong}.`);
}
