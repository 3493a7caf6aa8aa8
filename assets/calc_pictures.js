// The calculator's pictures in SVG: stacked bars, a log bar, a line, the matrices of LoRA to scale. Runs before calc.js.
const draw = (name, attributes, text) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text != null) node.textContent = text;
  return node;
};
const canvas = (width, height, label) => draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, class: 'calc-svg' });
const bytes = (n) => (n >= 1e9 ? (n / 1e9).toPrecision(3) + ' GB' : n >= 1e6 ? (n / 1e6).toPrecision(3) + ' MB' : n >= 1e3 ? (n / 1e3).toPrecision(3) + ' kB' : n + ' bytes');
// A picture is drawn for the room there is: on a phone it is half as wide, so that its words stay as large as others.
const breadth = () => (element.querySelector('.calc-out').clientWidth < 560 ? 380 : 720);
const many = (n) => n.toLocaleString('en');

// One row a method; the parts keep their order and colour, and a legend names them.
function stacked(value) {
  const width = breadth(), right = 72, row = 24, rows = value.rows, height = rows.length * row + 6;
  const left = 14 + 7 * Math.max(...rows.map((r) => r.name.length), 6);
  const most = Math.max(...rows.map((r) => r.total), 1);
  const svg = canvas(width, height, 'Memory by part. ' + rows.map((r) => r.name + ': ' + bytes(r.total)).join('; '));
  rows.forEach((r, i) => {
    const y = i * row + 4;
    svg.append(draw('text', { x: left - 8, y: y + 13, 'text-anchor': 'end', class: r.own ? 'own' : '' }, r.name));
    let x = left;
    r.parts.forEach((part, k) => {
      const w = ((width - left - right) * part) / most;
      if (w < 0.2) return;
      const bar = draw('rect', { x, y, width: w, height: row - 7, class: 'part-' + k });
      bar.append(draw('title', {}, value.names[k] + ': ' + bytes(part)));
      svg.append(bar);
      x += w;
    });
    svg.append(draw('text', { x: x + 6, y: y + 13, class: r.own ? 'own' : '' }, bytes(r.total)));
  });
  return svg;
}

// Trainable beside all, both on a log scale from one parameter on.
function share(count) {
  const width = breadth(), svg = canvas(width, 74, `Trainable ${many(count.trainable)} of ${many(count.total)}, on a log scale`), left = 72, span = width - left - 20;
  const top = Math.ceil(Math.log10(Math.max(count.total, 10))), X = (n) => left + (span * Math.log10(Math.max(n, 1))) / top;
  [['frozen', count.total, 6], ['trainable', count.trainable, 30]].forEach(([name, n, y]) => {
    svg.append(draw('text', { x: left - 8, y: y + 13, 'text-anchor': 'end' }, name === 'frozen' ? 'all' : name));
    svg.append(draw('rect', { x: left, y, width: Math.max(X(n) - left, 0), height: 17, class: name }));
  });
  for (let p = 0; p <= top; p += 2) svg.append(draw('text', { x: X(10 ** p), y: 66, 'text-anchor': 'middle', class: 'quiet' }, p ? '10' + [...String(p)].map((d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]).join('') : '1'));
  return svg;
}

// Parameters against the setting that makes the method larger: a straight line, so both axes start at zero.
function lineChart(value) {
  const width = breadth(), height = 190, left = 72, floor = height - 34, svg = canvas(width, height, `Trainable parameters by ${value.name}`);
  const xs = Math.max(...value.points.map((p) => p[0])), ys = Math.max(...value.points.map((p) => p[1]), 1);
  const X = (v) => left + ((width - left - 30) * v) / xs, Y = (v) => floor - ((floor - 12) * v) / ys;
  const g = draw('g', { 'data-method': value.method });
  for (const f of [0, 0.5, 1]) {
    svg.append(draw('line', { x1: left, x2: width - 30, y1: Y(ys * f), y2: Y(ys * f), class: 'grid' }));
    svg.append(draw('text', { x: left - 8, y: Y(ys * f) + 4, 'text-anchor': 'end' }, ys * f >= 1e6 ? +((ys * f) / 1e6).toPrecision(3) + ' M' : many(Math.round(ys * f))));
  }
  g.append(draw('path', { d: 'M' + value.points.map((p) => X(p[0]).toFixed(1) + ' ' + Y(p[1]).toFixed(1)).join('L'), class: 'curve' }));
  for (const [x, y] of value.points) {
    const dot = draw('circle', { cx: X(x), cy: Y(y), r: x === value.own ? 6 : 3, class: x === value.own ? 'own' : 'dot' });
    dot.append(draw('title', {}, `${value.name} ${x}: ${many(y)}`));
    g.append(dot);
    if (x === value.own || x === xs) svg.append(draw('text', { x: X(x), y: floor + 15, 'text-anchor': 'middle' }, x));
  }
  svg.append(g, draw('text', { x: (left + width - 30) / 2, y: height - 3, 'text-anchor': 'middle', class: 'quiet' }, value.name.toLowerCase()));
  return svg;
}

// W' = W + (alpha / rank) · B A: each matrix of a block with its two thin ones, all sides to one scale.
function matrices(value) {
  const width = breadth(), longest = Math.max(...value.matrices.flatMap((m) => [m.out, m.in])), unit = 96 / longest, gap = 26;
  const wide = (m) => Math.max(m.in * unit * 2 + gap * 2 + Math.max(value.rank * unit, 1) + 16, 168);
  const cells = [];
  let x = 4, y = 20, tall = 0;
  for (const m of value.matrices) {
    if (x + wide(m) > width - 4 && x > 4) [x, y, tall] = [4, y + tall + 60, 0];
    cells.push([m, x, y]);
    x += wide(m);
    tall = Math.max(tall, m.out * unit);
  }
  const svg = canvas(width, y + tall + 38, `LoRA to scale: rank ${value.rank} beside ` + value.matrices.map((m) => `${m.name} ${m.out} by ${m.in}`).join(', '));
  const g = draw('g', { 'data-method': 'lora' });
  for (const [m, left, top] of cells) {
    const w = m.in * unit, h = m.out * unit, r = Math.max(value.rank * unit, 1), b = left + w + gap, a = b + r + gap / 2;
    g.append(draw('text', { x: left, y: top - 6 }, m.name), draw('rect', { x: left, y: top, width: w, height: h, class: 'frozen' }));
    g.append(draw('text', { x: left + w + gap / 2, y: top + 12, 'text-anchor': 'middle' }, '+'));
    g.append(draw('rect', { x: b, y: top, width: r, height: h, class: 'thin' }), draw('rect', { x: a, y: top, width: w, height: r, class: 'thin' }));
    g.append(draw('text', { x: left, y: top + h + 14, class: 'quiet' }, `W ${m.out} × ${m.in}`));
    g.append(draw('text', { x: left, y: top + h + 29, class: 'quiet' }, `B ${m.out} × ${value.rank}, A ${value.rank} × ${m.in}`));
  }
  svg.append(g);
  return svg;
}
