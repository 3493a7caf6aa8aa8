// Numbers of the loss chart: how they are written, smoothed, found, and where an axis has its ticks. Runs before loss_chart.js.
const digits = (v) => (v == null || !isFinite(v) ? 'not a number' : Math.abs(v) >= 100 ? v.toFixed(1) : v.toFixed(3));
const round = (v) => (Math.abs(v) >= 100 ? Math.round(v).toLocaleString('en') : String(+v.toPrecision(3)));

// Exponential mean, corrected for its start; a missing value is a gap and does not enter the mean.
function smoothed(y, weight) {
  if (!weight) return y;
  let mean = 0, mass = 0;
  return y.map((v) => {
    if (!isFinite(v)) return NaN;
    mean = weight * mean + (1 - weight) * v;
    mass = weight * mass + (1 - weight);
    return mean / mass;
  });
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) out.push(+v.toPrecision(8));
  return out;
}
function logTicks(low, high) {
  const out = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
    for (const m of high / low > 50 ? [1] : high / low > 8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7]) out.push(m * 10 ** p);
  return out.filter((v) => v >= low && v <= high);
}

const nearest = (xs, x) => {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) xs[(low + high) >> 1] < x ? (low = (low + high) >> 1) : (high = (low + high) >> 1);
  return x - xs[low] < xs[high] - x ? low : high;
};
