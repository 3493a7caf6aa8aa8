// What the pictures of a sweep share: settings from cells, scales, numbers, shades. Runs before sweep.js and sweep_results.js.
const NS = 'http://www.w3.org/2000/svg';
const svgNode = (name, attributes, ...content) => {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) if (attributes[key] != null) node.setAttribute(key, attributes[key]);
  node.append(...content.filter((part) => part != null));
  return node;
};
const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
const said = (v) => (v === true ? 'on' : v === false ? 'off' : v == null ? '–' : typeof v === 'number' ? String(+v.toPrecision(4)) : String(v));
const written = (v, digits) => (v == null || !isFinite(v) ? '–' : v.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const nameOf = (value, v) => value.axes.map((axis, i) => (v[i] == null ? '' : `${axis.label} ${said(v[i])}`)).filter(Boolean).join(', ');
const keyOf = (v) => JSON.stringify(v);

// The settings of a sweep, each with its cells: one a combination of values, whatever the seed.
function settingsOf(value) {
  const found = new Map();
  for (const cell of value.cells || []) {
    const key = keyOf(cell.v);
    if (!found.has(key)) found.set(key, { key, v: cell.v, cells: [] });
    found.get(key).cells.push(cell);
  }
  return found;
}
const numbersOf = (cells, metric) => cells.map((cell) => cell.m[metric]).filter((n) => n != null && isFinite(n));

// 0 to 1, 1 the best; what is far worse than most is simply the worst.
function goodness(numbers, lower) {
  const sorted = [...numbers].sort((a, b) => (lower ? a - b : b - a));
  if (!sorted.length) return () => 0;
  const best = sorted[0], worst = sorted[Math.floor((sorted.length - 1) * 0.9)];
  return (n) => (best === worst ? 1 : Math.max(0, Math.min(1, (n - worst) / (best - worst))));
}
const shade = (good) => `color-mix(in srgb, var(--accent) ${Math.round(6 + 84 * good)}%, var(--background-fill-primary))`;

// Values of an axis to pixels: equal steps for values that were chosen, a scale of numbers for many that were drawn.
function along(axis, from, to) {
  const values = axis.values, numeric = values.every((v) => typeof v === 'number');
  if (numeric && values.length > 12) return { place: scale(Math.min(...values), Math.max(...values), from, to), ticks: null };
  const step = (to - from) / Math.max(values.length, 1);
  return { place: (v) => from + step * (values.indexOf(v) + 0.5), ticks: values };
}
function scale(low, high, from, to) {
  const isLog = low > 0 && high / low > 20, f = isLog ? Math.log : (v) => v;
  const span = f(high) - f(low) || 1;
  return (v) => from + ((to - from) * (f(v) - f(low))) / span;
}
function ticksOf(low, high, count) {
  if (low > 0 && high / low > 20) {
    const out = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) out.push(10 ** p);
    const within = out.filter((v) => v >= low * 0.999 && v <= high * 1.001);
    if (within.length > 1) return within;
  }
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough), out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) out.push(+v.toPrecision(8));
  return out;
}
const short = (v) => (Math.abs(v) >= 1e6 ? +(v / 1e6).toPrecision(3) + 'M' : Math.abs(v) >= 1e4 ? Math.round(v / 1e3) + 'k' : String(+v.toPrecision(3)));

// The frame of a picture: grid, numbers on the left, names below. `x` is {place, ticks} or {place, low, high}.
function frameOf(svg, x, low, high, labels) {
  const width = svg.clientWidth || 420, height = svg.clientHeight || 240, box = { left: 52, right: width - 10, top: 12, floor: height - 38 };
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1, Y = scaleLinear(low - margin, high + margin, box.floor, box.top), g = svgNode('g', { class: 'axes' });
  for (const t of ticksOf(low - margin, high + margin, 4).filter((t) => t >= low - margin))
    g.append(svgNode('line', { x1: box.left, x2: box.right, y1: Y(t), y2: Y(t), class: 'grid' }), svgNode('text', { x: box.left - 6, y: Y(t) + 4, 'text-anchor': 'end' }, short(t)));
  const X = x(box);
  for (const [at, text] of X.marks) g.append(svgNode('text', { x: at, y: box.floor + 16, 'text-anchor': 'middle' }, text));
  g.append(svgNode('line', { x1: box.left, x2: box.right, y1: box.floor, y2: box.floor, class: 'floor' }));
  g.append(svgNode('text', { x: (box.left + box.right) / 2, y: height - 4, 'text-anchor': 'middle' }, labels.x));
  return { g, X: X.place, Y, box };
}
const scaleLinear = (low, high, from, to) => (v) => from + ((to - from) * (v - low)) / (high - low || 1);
