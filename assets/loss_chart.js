// Loss curves of several runs. Value: {view, title, steps, base, series: [{id, name, method, d, h, note}]}.
// d and h are packed, append-only strings "step,tokens,seconds,loss;…" (training, held-out); an empty loss is "not a number".
const NS = 'http://www.w3.org/2000/svg';
const $ = (selector) => element.querySelector(selector);
const svg = $('.lc-plot'), legend = $('.lab-legend'), read = $('.lc-read'), title = $('.lab-chart-title');
const axis = $('.lc-axis'), log = $('.lc-log'), smooth = $('.lc-smooth'), reset = $('.lc-reset'), data = $('.lc-data');
const LABELS = ['training steps', 'tokens read', 'seconds of training'], UNITS = ['step', 'token', 'second'];
const LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 36;
const hidden = new Set(), cache = new Map();
let view = null, zoom = null, cursor = null, drag = null, planned = false, byKey = false, frame = null;

const make = (name, attributes, text) => {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text != null) node.textContent = text;
  return node;
};
const tag = (name, text) => {
  const node = document.createElement(name);
  if (text != null) node.textContent = text;
  return node;
};

// Unpack only what was appended since the last draw.
function unpack(key, packed) {
  let c = cache.get(key);
  if (!c || !packed.startsWith(c.packed)) cache.set(key, (c = { packed: '', x: [[], [], []], y: [] }));
  for (const point of packed.slice(c.packed.length).split(';')) {
    if (!point) continue;
    const [step, tokens, seconds, loss] = point.split(',');
    c.x[0].push(+step);
    c.x[1].push(+tokens);
    c.x[2].push(+seconds);
    c.y.push(loss === '' ? NaN : +loss);
  }
  c.packed = packed;
  return { x: c.x[+axis.value], y: c.y };
}

function series() {
  const value = props.value || {};
  if (value.view !== view) {
    view = value.view;
    cache.clear();
    zoom = cursor = null;
  }
  return (value.series || []).map((s) => {
    const train = unpack(s.id + '/d', s.d || ''), held = unpack(s.id + '/h', s.h || '');
    return { ...s, train, held, line: smoothed(train.y, +smooth.value) };
  });
}

// The plane of this draw: ranges of both axes and the maps from values to pixels and back.
function plane(shown) {
  const value = props.value || {}, width = svg.clientWidth || 640, height = svg.clientHeight || 320;
  const last = shown.flatMap((s) => [s.train.x[s.train.x.length - 1], s.held.x[s.held.x.length - 1]]).filter(isFinite);
  const [x0, x1] = zoom || [0, Math.max(axis.value === '0' ? value.steps || 1 : 0, ...last, 1e-9)];
  let low = Infinity, high = -Infinity;
  const see = (v) => {
    if (!isFinite(v) || (log.checked && v <= 0)) return;
    low = Math.min(low, v);
    high = Math.max(high, v);
  };
  for (const s of shown)
    for (const part of [s.train, s.held]) part.y.forEach((v, i) => part.x[i] >= x0 && part.x[i] <= x1 && see(v));
  if (value.base != null) see(value.base);
  if (!isFinite(low)) [low, high] = [log.checked ? 0.1 : 0, log.checked ? 10 : 4];
  if (high - low < 1e-9) [low, high] = [low * 0.9 - (log.checked ? 0 : 0.1), high * 1.1 + 0.1];
  if (log.checked) [low, high] = [low / 1.08, high * 1.08];
  else [low, high] = [low - (high - low) * 0.06, high + (high - low) * 0.06];
  if (!log.checked && low < 0 && low > -(high - low) * 0.1) low = 0;
  const f = log.checked ? Math.log : (v) => v, floor = height - BOTTOM;
  return {
    width, height, floor, x0, x1, low, high,
    X: (x) => LEFT + ((width - LEFT - RIGHT) * (x - x0)) / (x1 - x0),
    Y: (y) => floor - ((floor - TOP) * (f(y) - f(low))) / (f(high) - f(low)),
    back: (px) => x0 + ((px - LEFT) / (width - LEFT - RIGHT)) * (x1 - x0),
  };
}

function path(p, xs, ys) {
  let out = '', pen = false;
  for (let i = 0; i < xs.length; i++) {
    const y = ys[i], next = xs[Math.min(i + 1, xs.length - 1)], before = xs[Math.max(i - 1, 0)];
    if (!isFinite(y) || (log.checked && y <= 0) || next < p.x0 || before > p.x1) {
      pen = false;
      continue;
    }
    out += (pen ? 'L' : 'M') + p.X(xs[i]).toFixed(1) + ' ' + p.Y(y).toFixed(1);
    if (!pen && !isFinite(ys[i + 1])) out += 'm-2 0h4m-2 0'; // a point alone is a short line
    pen = true;
  }
  return out;
}

function axes(p) {
  const g = make('g', { class: 'axes' });
  for (const t of log.checked ? logTicks(p.low, p.high) : ticks(p.low, p.high, 5)) {
    g.append(make('line', { x1: LEFT, x2: p.width - RIGHT, y1: p.Y(t), y2: p.Y(t), class: 'grid' }));
    g.append(make('text', { x: LEFT - 7, y: p.Y(t) + 4, 'text-anchor': 'end' }, round(t)));
  }
  for (const t of ticks(p.x0, p.x1, p.width < 480 ? 4 : 8))
    g.append(make('text', { x: p.X(t), y: p.floor + 16, 'text-anchor': 'middle' }, round(t)));
  g.append(make('line', { x1: LEFT, x2: p.width - RIGHT, y1: p.floor, y2: p.floor, class: 'floor' }));
  g.append(make('text', { x: (LEFT + p.width - RIGHT) / 2, y: p.height - 4, 'text-anchor': 'middle' }, LABELS[+axis.value]));
  return g;
}

function curve(p, s) {
  const g = make('g', { 'data-method': s.method, 'data-nth': s.nth || 0 });
  if (s.line !== s.train.y) g.append(make('path', { d: path(p, s.train.x, s.train.y), class: 'raw' }));
  g.append(make('path', { d: path(p, s.train.x, s.line), class: 'curve' }));
  s.held.y.forEach((y, i) => {
    const x = s.held.x[i];
    if (isFinite(y) && x >= p.x0 && x <= p.x1) g.append(make('circle', { cx: p.X(x), cy: p.Y(y), r: 4, class: 'held' }));
  });
  const lost = s.train.y.findIndex((y) => !isFinite(y));
  if (lost >= 0) {
    let at = lost;
    while (at > 0 && !isFinite(s.line[at])) at--;
    const x = p.X(s.train.x[lost]), y = isFinite(s.line[at]) ? p.Y(s.line[at]) : TOP + 12;
    g.append(make('text', { x, y: y + 6, class: 'lost', 'text-anchor': 'middle' }, '×'));
    g.append(make('text', { x: x + 9, y: y - 6, class: 'lost-note' }, 'no longer a number'));
  }
  return g;
}

// All methods at the step under the cursor: a crosshair, a box, and one sentence for a screen reader.
function hover(p, shown, g) {
  const x = p.back(Math.max(LEFT, Math.min(p.width - RIGHT, cursor)));
  const first = shown.find((s) => s.train.x.length);
  if (!first) return;
  const at = first.train.x[nearest(first.train.x, x)], px = p.X(at);
  const lines = shown.filter((s) => s.train.x.length).map((s) => {
    const i = nearest(s.train.x, at), j = s.held.x.length ? nearest(s.held.x, at) : -1;
    const held = j >= 0 && Math.abs(p.X(s.held.x[j]) - px) < 6 ? ', held-out ' + digits(s.held.y[j]) : '';
    return { method: s.method, nth: s.nth || 0, text: s.name + ' ' + digits(s.train.y[i]) + held };
  });
  g.append(make('line', { x1: px, x2: px, y1: TOP, y2: p.floor, class: 'cursor' }));
  const box = make('g', { class: 'tip' }), head = UNITS[+axis.value] + ' ' + round(at);
  const width = Math.max(...[head, ...lines.map((l) => l.text)].map((t) => t.length)) * 7.2 + 34;
  const left = px + 12 + width > p.width ? Math.max(LEFT, px - 12 - width) : px + 12;
  box.append(make('rect', { x: left, y: TOP, width, height: 24 + lines.length * 17, rx: 4 }));
  box.append(make('text', { x: left + 10, y: TOP + 17 }, head));
  lines.forEach((line, i) => {
    const row = make('g', { 'data-method': line.method, 'data-nth': line.nth }), y = TOP + 34 + i * 17;
    row.append(make('line', { x1: left + 8, x2: left + 22, y1: y - 4, y2: y - 4, class: 'curve' }));
    row.append(make('text', { x: left + 27, y }, line.text));
    box.append(row);
  });
  g.append(box);
  if (byKey) read.textContent = head + ': ' + lines.map((l) => l.text).join('; ') + '.';
}

function draw() {
  planned = false;
  const value = props.value || {}, all = series(), shown = all.filter((s) => !hidden.has(s.id));
  const p = (frame = plane(shown)), g = make('g');
  title.textContent = value.title || '';
  g.append(axes(p));
  if (value.base != null) {
    const base = make('g', { 'data-method': 'base' }), y = p.Y(value.base);
    base.append(make('line', { x1: LEFT, x2: p.width - RIGHT, y1: y, y2: y, class: 'curve' }));
    base.append(make('text', { x: p.width - RIGHT, y: y - 5, 'text-anchor': 'end', class: 'base-note' }, 'base, held-out'));
    g.append(base);
  }
  for (const s of shown) g.append(curve(p, s));
  if (drag && Math.abs(drag[1] - drag[0]) > 3)
    g.append(make('rect', { x: Math.min(...drag), width: Math.abs(drag[1] - drag[0]), y: TOP, height: p.floor - TOP, class: 'zooming' }));
  else if (cursor != null) hover(p, shown, g);
  svg.replaceChildren(g);
  reset.disabled = !zoom;
  svg.setAttribute('aria-label', 'Loss curves. ' + all.map((s) => s.name + ': ' + tail(s)).join('; ') + '. Arrow keys read values, plus and minus zoom.');
  names(all);
  if (data.open) numbers(all);
}

function tail(s) {
  const train = s.train.y[s.train.y.length - 1], held = s.held.y[s.held.y.length - 1];
  if (train === undefined && held === undefined) return 'no value yet';
  return [train === undefined ? '' : digits(train), held === undefined ? '' : 'held-out ' + digits(held)].filter(Boolean).join(', ');
}

// The legend keeps its buttons while the names stay, so that focus survives; only the numbers change.
function names(all) {
  const key = all.map((s) => s.id + s.name).join('|');
  if (legend.dataset.key !== key) {
    legend.dataset.key = key;
    legend.replaceChildren(...all.map((s) => {
      const button = tag('button');
      button.type = 'button';
      button.dataset.method = s.method;
      button.dataset.nth = s.nth || 0;
      const swatch = tag('span');
      swatch.className = 'swatch';
      button.append(swatch, document.createTextNode(s.name), tag('span'));
      button.lastChild.className = 'value';
      button.onclick = () => {
        hidden.has(s.id) ? hidden.delete(s.id) : hidden.add(s.id);
        plan();
      };
      return button;
    }));
  }
  all.forEach((s, i) => {
    legend.children[i].setAttribute('aria-pressed', String(!hidden.has(s.id)));
    const [train, held] = [s.train.y, s.held.y].map((y) => (y.length ? digits(y[y.length - 1]) : '–'));
    legend.children[i].lastChild.textContent = train + '  ○ ' + held;
  });
}

// The same numbers as a table, at most 60 rows of it.
function numbers(all) {
  const table = data.querySelector('table'), steps = [...new Set(all.flatMap((s) => s.train.x))].sort((a, b) => a - b);
  const every = Math.ceil(steps.length / 60), head = tag('tr'), body = tag('tbody'), thead = tag('thead');
  const cell = (name, text, isNumber) => {
    const node = tag(name, text);
    if (isNumber) node.className = 'number';
    if (name === 'th') node.scope = isNumber === 'row' ? 'row' : 'col';
    return node;
  };
  head.append(cell('th', UNITS[+axis.value], true), ...all.flatMap((s) => [cell('th', s.name, true), cell('th', s.name + ', held-out', true)]));
  thead.append(head);
  steps.filter((_, i) => i % every === 0 || i === steps.length - 1).forEach((x) => {
    const row = tag('tr');
    row.append(cell('th', round(x), 'row'));
    for (const s of all)
      for (const part of [s.train, s.held]) {
        const i = part.x.indexOf(x);
        row.append(cell('td', i < 0 ? '' : digits(part.y[i]), true));
      }
    body.append(row);
  });
  table.replaceChildren(thead, body);
}

const plan = () => {
  if (planned) return;
  planned = true;
  requestAnimationFrame(draw);
};
const place = (event) => event.clientX - svg.getBoundingClientRect().left;
const zoomTo = (a, b) => {
  zoom = b - a > (frame.x1 - frame.x0) * 1e-3 ? [a, b] : zoom;
  plan();
};
svg.addEventListener('pointerdown', (event) => {
  if (event.button) return;
  drag = [place(event), place(event)];
  svg.setPointerCapture(event.pointerId);
});
svg.addEventListener('pointermove', (event) => {
  byKey = false;
  cursor = place(event);
  if (drag) drag[1] = Math.max(LEFT, Math.min(frame.width - RIGHT, cursor));
  plan();
});
svg.addEventListener('pointerup', () => {
  if (drag && Math.abs(drag[1] - drag[0]) > 8) zoomTo(Math.max(frame.x0, frame.back(Math.min(...drag))), frame.back(Math.max(...drag)));
  drag = null;
  plan();
});
svg.addEventListener('pointercancel', () => (drag = null));
svg.addEventListener('pointerleave', () => {
  if (!drag) cursor = null;
  plan();
});
svg.addEventListener('dblclick', () => reset.click());
svg.addEventListener('blur', () => {
  cursor = null;
  read.textContent = '';
  plan();
});
svg.addEventListener('keydown', (event) => {
  const span = frame.x1 - frame.x0, middle = frame.back(cursor ?? frame.width / 2);
  const act = {
    ArrowLeft: () => (cursor = Math.max(LEFT, (cursor ?? frame.width) - 8)),
    ArrowRight: () => (cursor = Math.min(frame.width - RIGHT, (cursor ?? LEFT) + 8)),
    '+': () => zoomTo(Math.max(0, middle - span / 4), middle + span / 4),
    '-': () => (zoom = null),
    0: () => (zoom = null),
    Escape: () => (zoom = cursor = null),
  }[event.key];
  if (!act) return;
  byKey = true;
  act();
  plan();
  event.preventDefault();
});
reset.addEventListener('click', () => {
  zoom = null;
  plan();
});
axis.addEventListener('change', () => {
  zoom = null;
  plan();
});
for (const control of [log, smooth]) control.addEventListener('input', plan);
data.addEventListener('toggle', plan);
new ResizeObserver(plan).observe(svg);
watch('value', plan);
plan();
