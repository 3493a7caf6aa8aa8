// A sweep as it fills: the map of its settings, every curve on one figure, and the setting that was pressed. Value: see lab_app/sweep_view.py.
// Which number is shown, which setting is lit and which was pressed is the reader's own; sweep_results.js beside it is told by an event.
const $ = (selector) => element.querySelector(selector);
const map = $('.sw-map'), overlay = $('.sw-rules'), svg = $('.sw-curves'), kind = $('.sw-metric'), which = $('.sw-which'), log = $('.sw-log');
const across = $('.sw-x'), down = $('.sw-y'), twice = $('.sw-twice'), ratio = $('.sw-ratio'), squareRoot = $('.sw-root');
const TOO_MANY = 900, packed = new Map();
let value = {}, settings = new Map(), metric = null, lit = null, chosen = null, view = null, planned = false, lines = [];

const spots = () => { // where a setting stands on the map
  const x = value.axes[+across.value] ? +across.value : 0, y = value.axes[+down.value] && +down.value !== x ? +down.value : -1;
  return { x, y };
};
function unpack(key, text) {
  let kept = packed.get(key);
  if (!kept || !text.startsWith(kept.text)) packed.set(key, (kept = { text: '', x: [], y: [] }));
  for (const part of text.slice(kept.text.length).split(';')) {
    if (!part) continue;
    const [step, loss] = part.split(',');
    kept.x.push(+step);
    kept.y.push(loss === '' ? NaN : +loss);
  }
  kept.text = text;
  return kept;
}

// the map

function groupsOf() {
  const { x, y } = spots(), found = new Map();
  for (const setting of settings.values()) {
    const key = keyOf([setting.v[x], y < 0 ? null : setting.v[y]]);
    if (!found.has(key)) found.set(key, { key, cells: [], settings: [] });
    found.get(key).cells.push(...setting.cells);
    found.get(key).settings.push(setting);
  }
  return found;
}
function cellText(group, digits) {
  const numbers = numbersOf(group.cells, metric.key), all = group.cells.length;
  const running = group.cells.find((cell) => cell.status === 'running'), lost = group.cells.filter((cell) => ['diverged', 'failed', 'interrupted'].includes(cell.status)).length;
  const pruned = group.cells.every((cell) => ['pruned', 'cancelled', 'skipped'].includes(cell.status));
  const main = numbers.length ? written(mean(numbers), digits) : lost ? '×' : pruned ? 'stopped' : running ? `step ${running.at}` : '·';
  const row = group.settings.length === 1 && rowOf(group.settings[0].key);
  const notes = numbers.length < all && numbers.length ? `${numbers.length} of ${all}` : numbers.length && row && row.half != null ? '±' + row.half.toFixed(digits) : lost && !numbers.length ? group.cells.find((c) => c.cause || 1).status : '';
  return { main, notes, number: numbers.length ? mean(numbers) : null, running: !!running, row };
}
const foundOf = () => (value.found || {})[metric.key];
const rowOf = (key) => ((foundOf() || {}).rows || []).find((row) => keyOf(row.v) === key);

function drawMap() {
  const { x, y } = spots(), columns = value.axes[x].values, rows = y < 0 ? [null] : [...value.axes[y].values].reverse(), groups = groupsOf();
  if (columns.length * rows.length > TOO_MANY || columns.length > 40) {
    map.replaceChildren(make('caption', {}, 'So many values make no map: the table and the lines below have them all.'));
    return overlay.replaceChildren();
  }
  const texts = new Map([...groups].map(([key, group]) => [key, cellText(group, metric.digits)]));
  const numbers = [...texts.values()].map((t) => t.number).filter((n) => n != null), good = goodness(numbers, metric.lower);
  const apart = foundOf() && foundOf().noise != null, body = rows.map((r) => make('tr', {}, y < 0 ? null : make('th', { scope: 'row' }, said(r)),
    ...columns.map((c) => {
      const key = keyOf([c, r]), group = groups.get(key), text = texts.get(key);
      if (!group) return make('td', {}, make('span', { class: 'sw-none' }, '–'));
      const level = text.number == null ? null : good(text.number), among = apart && text.row && !text.row.worse;
      const button = make('button', { type: 'button', class: 'sw-cell' + (among ? ' among' : '') + (text.running ? ' running' : ''), 'data-key': key,
        'aria-pressed': String(chosen === key), 'aria-label': `${nameOf(value, group.settings[0].v)}: ${metric.label} ${text.main} ${text.notes}${among ? ', cannot be told apart from the best' : ''}` },
      make('b', {}, text.main), text.notes ? make('small', {}, text.notes) : null);
      if (level != null) button.style.background = shade(level);
      button.classList.toggle('firm', level > 0.7); // from where the light text of a dark cell reads better, on dark
      button.classList.toggle('strong', level > 0.85); // and on light
      return make('td', {}, button);
    })));
  const head = make('tr', {}, y < 0 ? null : make('td', {}), ...columns.map((c) => make('th', { scope: 'col' }, said(c))));
  const focused = document.activeElement && map.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  map.replaceChildren(make('tbody', {}, ...body), make('tfoot', {}, head));
  if (focused) [...map.querySelectorAll('button')].find((b) => b.dataset.key === focused)?.focus();
  $('.sw-xname').textContent = value.axes[x].label;
  $('.sw-yname').textContent = y < 0 ? '' : value.axes[y].label + ' ↑';
  light();
  drawRules();
}
// The rules people give for alpha, as lines over the map: alpha = 2 · rank, and alpha/rank or alpha/√rank as at the best setting.
function drawRules() {
  overlay.replaceChildren();
  const { x, y } = spots(), rank = value.axes.findIndex((a) => a.place === 'settings.rank'), alpha = value.axes.findIndex((a) => a.place === 'settings.alpha');
  const fits = y >= 0 && ((x === rank && y === alpha) || (x === alpha && y === rank)) && rank >= 0;
  for (const box of element.querySelectorAll('.sw-guides')) box.hidden = !fits;
  if (!fits) return;
  const best = ((foundOf() || {}).rows || [])[0], rules = [[twice, (r) => 2 * r, 'twice']];
  if (best) {
    rules.push([ratio, (r) => (best.v[alpha] / best.v[rank]) * r, 'ratio']);
    rules.push([squareRoot, (r) => (best.v[alpha] / Math.sqrt(best.v[rank])) * Math.sqrt(r), 'root']);
  }
  const origin = overlay.getBoundingClientRect(), spot = (r, a) => {
    const node = [...map.querySelectorAll('button')].find((b) => b.dataset.key === keyOf(x === rank ? [r, a] : [a, r]));
    const box = node && node.getBoundingClientRect();
    return box && [box.left + box.width / 2 - origin.left, box.bottom - 6 - origin.top];
  };
  const alphas = value.axes[alpha].values;
  for (const [box, rule, name] of rules) {
    if (!box.checked) continue;
    const points = value.axes[rank].values.map((r) => {
      const a = rule(r), above = alphas.findIndex((v) => v >= a * 0.9999);
      if (above < 0 || a < alphas[0] * 0.9999) return null;
      const low = spot(r, alphas[Math.max(0, above - 1)]), high = spot(r, alphas[above]);
      if (!low || !high) return null;
      const part = above === 0 || alphas[above] === alphas[above - 1] ? 1 : Math.log(a / alphas[above - 1]) / Math.log(alphas[above] / alphas[above - 1]);
      return [low[0] + (high[0] - low[0]) * part, low[1] + (high[1] - low[1]) * part];
    }).filter(Boolean);
    if (points.length) overlay.append(svgNode('polyline', { points: points.map((p) => p.join(',')).join(' '), class: name }),
      ...points.map((p) => svgNode('circle', { cx: p[0], cy: p[1], r: 3.5, class: name })));
  }
}
function light() {
  for (const button of map.querySelectorAll('button')) {
    button.classList.toggle('lit', button.dataset.key === lit);
    button.setAttribute('aria-pressed', String(button.dataset.key === chosen));
  }
}

// the curves

const groupKey = (v) => {
  const { x, y } = spots();
  return keyOf([v[x], y < 0 ? null : v[y]]);
};
function drawCurves() {
  const part = which.value, all = value.cells.map((cell) => ({ cell, key: groupKey(cell.v), ...unpack(cell.run + part, cell[part] || '') })).filter((c) => c.x.length);
  const seen = all.flatMap((c) => c.y.filter((y) => isFinite(y) && (!log.checked || y > 0))), f = log.checked ? Math.log10 : (v) => v;
  const low = seen.length ? Math.min(...seen.map(f)) : 0, high = seen.length ? Math.max(...seen.map(f)) : 4;
  const width = svg.clientWidth || 420, height = svg.clientHeight || 300, box = { left: 44, right: width - 10, top: 10, floor: height - 36 };
  const X = scaleLinear(0, Math.max(value.steps || 1, ...all.map((c) => c.x[c.x.length - 1])), box.left, box.right), Y = scaleLinear(low, high + (high - low) * 0.04 + 1e-9, box.floor, box.top), g = svgNode('g', {});
  for (const t of ticksOf(low, high, 5)) g.append(svgNode('line', { x1: box.left, x2: box.right, y1: Y(t), y2: Y(t), class: 'grid' }), svgNode('text', { x: box.left - 6, y: Y(t) + 4, 'text-anchor': 'end' }, short(log.checked ? 10 ** t : t)));
  for (const t of ticksOf(0, value.steps || 1, 6)) g.append(svgNode('text', { x: X(t), y: box.floor + 16, 'text-anchor': 'middle' }, short(t)));
  g.append(svgNode('line', { x1: box.left, x2: box.right, y1: box.floor, y2: box.floor, class: 'floor' }), svgNode('text', { x: (box.left + box.right) / 2, y: height - 4, 'text-anchor': 'middle' }, 'training steps'));
  lines = all.map((c) => {
    const points = c.x.map((x, i) => [X(x), Y(f(c.y[i]))]).filter((p) => isFinite(p[1]));
    const shape = points.length > 1 ? svgNode('polyline', { points: points.map((p) => p.map((n) => n.toFixed(1)).join(',')).join(' '), class: 'sw-line' })
      : points.length ? svgNode('circle', { cx: points[0][0], cy: points[0][1], r: 2.5, class: 'sw-line' }) : null;
    if (shape) g.append(shape);
    return { key: c.key, cell: c.cell, points, shape };
  });
  svg.replaceChildren(g);
  svg.setAttribute('aria-label', `${all.length} curves of ${part === 'd' ? 'training' : 'held-out'} loss over the training steps; the numbers are in the table below.`);
  lightLines();
}
function lightLines() {
  const key = lit || chosen;
  svg.classList.toggle('some', !!key);
  for (const line of lines) {
    const on = key && line.key === key;
    line.shape && line.shape.classList.toggle('lit', !!on);
    if (on && line.shape) line.shape.parentNode.append(line.shape); // on top
  }
  const group = key && groupsOf().get(key);
  $('.sw-read').textContent = !group ? '' : (group.settings.length === 1 ? nameOf(value, group.settings[0].v) : `${group.settings.length} settings`)
    + `: ${metric.label} ${cellText(group, metric.digits).main} ${cellText(group, metric.digits).notes}`;
}
function setLit(key) {
  if (key === lit) return;
  lit = key;
  light();
  lightLines();
}

// the setting that was pressed

function choose(key) {
  chosen = chosen === key ? null : key;
  light();
  lightLines();
  drawChosen();
  const runs = chosen ? groupsOf().get(chosen).cells.filter((cell) => cell.status !== 'waiting').map((cell) => cell.run) : [];
  trigger('select', { id: value.id, runs: runs.slice(0, 8) });
}
function drawChosen() {
  const group = chosen && groupsOf().get(chosen), box = $('.sw-chosen');
  document.querySelector('#sweep-cell')?.classList.toggle('lab-unseen', !group);
  if (!group) return box.replaceChildren(value.cells.length ? make('p', { class: 'facts' }, 'Press a cell: its curves, its answers, and how to go on from it.') : '');
  const done = group.cells.filter((cell) => cell.m.held_out != null), at = new URL(window.location), runs = done.map((cell) => cell.run);
  const link = (query) => {
    at.search = query;
    return at.href;
  };
  const numbers = value.metrics.map((m) => {
    const found = numbersOf(group.cells, m.key);
    return found.length ? `${m.label} ${written(mean(found), m.digits)} ${m.unit}`.trim() : null;
  }).filter(Boolean);
  const causes = [...new Set(group.cells.map((cell) => cell.cause).filter(Boolean))];
  box.replaceChildren(make('h3', {}, group.settings.length === 1 ? nameOf(value, group.settings[0].v) : `${group.settings.length} settings at this place`),
    make('p', {}, numbers.join(' · ') + (numbers.length ? `, mean of ${done.length} run${done.length === 1 ? '' : 's'}.` : 'Nothing was measured here yet.')),
    ...causes.map((cause) => make('p', { class: 'facts' }, cause)),
    ...(runs.length && !value.is_recorded ? [make('p', {}, make('a', { href: link('?run=' + runs.slice(0, 8).join(',')) }, 'Open in Train'), ' · ', make('a', { href: link('?run=' + runs[0] + '&tab=Generate') }, 'Generate with it'))] : []));
}

// everything

function choices() {
  const key = JSON.stringify([value.axes.map((a) => a.label), value.metrics.map((m) => m.label), value.id]);
  if (view === key) return;
  view = key;
  chosen = lit = null;
  packed.clear();
  const options = value.axes.map((axis, i) => make('option', { value: i }, axis.label));
  across.replaceChildren(...options);
  down.replaceChildren(...options.map((o) => o.cloneNode(true)), make('option', { value: -1 }, 'all together'));
  const several = value.axes.map((a, i) => i).filter((i) => value.axes[i].values.length > 1), order = [...several, ...value.axes.keys()];
  across.value = order[0];
  down.value = several.length > 1 ? several[1] : -1;
  $('.sw-pick').hidden = value.axes.length < 2;
  const before = metric && metric.key;
  metric = value.metrics.find((m) => m.key === before) || value.metrics[0];
  kind.replaceChildren(...value.metrics.map((m) => make('label', { class: 'lab-choice' }, make('input', { type: 'radio', name: 'sweep-metric', value: m.key, checked: m.key === metric.key,
    onchange: () => {
      metric = m;
      plan();
    } }), m.label)));
}
function draw() {
  planned = false;
  const there = !!(value.axes || []).length;
  $('.sw-all').hidden = !there;
  if (!there) return;
  choices();
  metric = value.metrics.find((m) => m.key === metric.key) || value.metrics[0];
  settings = settingsOf(value);
  $('.sw-note').textContent = value.note || '';
  const found = foundOf();
  $('.sw-verdict').textContent = found ? found.verdict : '';
  $('.sw-scale').textContent = `${metric.label}${metric.unit ? ', ' + metric.unit : ''}, mean of the seeds; stronger colour is better.`
    + (found && found.noise != null ? ` Outlined: cannot be told apart from the best (±${written(found.noise, metric.digits)}).` : '');
  $('.sw-left').textContent = value.left_out ? `The curves of the first ${value.cells.length - value.left_out} cells are drawn.` : '';
  drawMap();
  drawCurves();
  drawChosen();
  window.dispatchEvent(new CustomEvent('lab-sweep', { detail: { value, metric, settings } }));
}
const plan = () => {
  if (planned) return;
  planned = true;
  requestAnimationFrame(draw);
};
function take() {
  value = { axes: [], cells: [], metrics: [], found: {}, ...(props.value || {}) };
  plan();
}
map.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) choose(button.dataset.key);
});
for (const [on, key] of [['pointerover', 1], ['focusin', 1], ['pointerleave', 0], ['focusout', 0]])
  map.addEventListener(on, (event) => setLit(key ? (event.target.closest('button') || { dataset: {} }).dataset.key || null : null));
svg.addEventListener('pointermove', (event) => {
  const box = svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = null, least = 400; // within 20 px
  for (const line of lines)
    for (const p of line.points) {
      const d = (p[0] - x) ** 2 / 4 + (p[1] - y) ** 2;
      if (d < least) [best, least] = [line.key, d];
    }
  setLit(best);
});
svg.addEventListener('pointerleave', () => setLit(null));
svg.addEventListener('click', () => lit && choose(lit));
for (const control of [across, down]) control.addEventListener('change', () => {
  chosen = lit = null;
  plan();
});
for (const control of [which, log]) control.addEventListener('change', plan);
for (const control of [twice, ratio, squareRoot]) control.addEventListener('change', drawRules);
new ResizeObserver(plan).observe(svg);
window.addEventListener('lab-sweep-ready', plan);
watch('value', take);
take();
