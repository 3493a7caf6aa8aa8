// A comparison: the table with an interval in every cell, the learning–forgetting plane, the fronts, the answers that changed.
const $ = (selector) => element.querySelector(selector);
const plane = $('.cp-plane'), front = $('.cp-front'), axis = $('.cp-axis'), cost = $('.cp-cost'), score = $('.cp-score'), who = $('.cp-who');
let value = {}, shown = null, planned = false;

const tip = (node, text) => {
  node.append(svgNode('title', {}, text));
  return node;
};
const pick = (select, pairs) => {
  const before = select.value;
  select.replaceChildren(...pairs.map(([key, label]) => make('option', { value: key }, label)));
  if (pairs.some(([key]) => key === before)) select.value = before;
};
const group = (row) => svgNode('g', { 'data-method': row.method, 'data-nth': row.nth || null });

function drawTable() {
  const head = make('tr', {}, make('th', { scope: 'col' }, 'method'), make('th', { scope: 'col', class: 'number' }, 'rate'),
    ...value.columns.map((c) => make('th', { scope: 'col', class: 'number', title: c.help || null }, c.label, c.unit ? make('span', { class: 'unit' }, c.unit) : null)));
  const base = make('tr', { 'data-method': 'base' }, make('th', { scope: 'row' }, swatch(), 'base'), make('td', {}), ...value.base.map((text) => make('td', { class: 'number' }, text)));
  const rows = value.rows.map((row) => make('tr', { 'data-method': row.method, 'data-nth': row.nth || null },
    make('th', { scope: 'row' }, swatch(), row.label, row.state === 'finished' ? null : make('span', { class: 'state' }, row.state)),
    make('td', { class: 'number' }, row.rate),
    ...row.cells.map(([text, best, close]) => make('td', { class: 'number' + (close ? ' cp-close' : '') }, close ? '≈ ' : '', best ? make('b', {}, text) : text))));
  $('.cp-table').replaceChildren(make('caption', {}, value.title), make('thead', {}, head), make('tbody', {}, base, ...rows));
}
function unpack(text) {
  return text.split(';').filter(Boolean).map((part) => part.split(',').map(Number));
}
function drawPlane() {
  const trails = value.rows.flatMap((row) => row.trails.map((text, i) => ({ row, i, points: unpack(text) }))), all = trails.flatMap((t) => t.points);
  const xs = [0, ...all.map((p) => p[1])], ys = [0, ...all.map((p) => p[2])];
  const low = Math.min(...xs), high = Math.max(...xs, low + 0.1), pad = (high - low) * 0.05;
  const x = (box) => {
    const place = scaleLinear(low - pad, high + pad, box.left, box.right);
    return { place, marks: ticksOf(low, high, 5).map((t) => [place(t), short(t)]) };
  };
  const { g, X, Y } = frameOf(plane, x, Math.min(...ys), Math.max(...ys, 0.05), { x: 'gain, nats a token →' });
  g.append(svgNode('line', { x1: X(0), x2: X(0), y1: Y(Math.min(...ys)), y2: Y(Math.max(...ys, 0.05)), class: 'floor' }), svgNode('line', { x1: X(low), x2: X(high), y1: Y(0), y2: Y(0), class: 'floor' }));
  for (const { row, i, points } of trails) {
    const part = group(row), at = (p) => [X(p[1]), Y(p[2])], end = points[points.length - 1];
    part.append(svgNode('polyline', { points: points.map((p) => at(p).map((n) => n.toFixed(1)).join(',')).join(' '), class: 'cp-trail curve' + (i ? ' thin' : '') }));
    for (const p of i ? [] : points.slice(0, -1)) part.append(svgNode('circle', { cx: at(p)[0], cy: at(p)[1], r: 2.5, class: 'cp-ring' }));
    part.append(tip(svgNode('circle', { cx: at(end)[0], cy: at(end)[1], r: i ? 3 : 4.5, class: 'cp-dot' }), `${row.label}: step ${end[0]}, gain ${end[1]}, forgetting ${end[2]}`));
    if (!i) part.append(svgNode('text', { x: at(end)[0] - 7, y: at(end)[1] - 7, 'text-anchor': 'end', class: 'cp-name' }, row.label));
    g.append(part);
  }
  plane.replaceChildren(g);
  plane.setAttribute('aria-label', 'Gain against forgetting at the end: ' + trails.filter((t) => !t.i).map((t) => `${t.row.label} ${t.points[t.points.length - 1].slice(1).join(', ')}`).join('; ') + '.');
}
function drawFront() {
  const result = value.axes.find((a) => a.key === axis.value) || value.axes[0], price = value.costs.find((c) => c.key === cost.value) || value.costs[0];
  const some = result && price ? value.rows.filter((row) => row.points[result.key] && row.points[price.key]) : [];
  if (!some.length) return front.replaceChildren();
  const at = (row) => row.points[price.key][0], ends = some.flatMap((row) => [row.points[result.key][0] - (row.points[result.key][1] || 0), row.points[result.key][0] + (row.points[result.key][1] || 0)]);
  const positive = some.map(at).filter((v) => v > 0), least = Math.min(...some.map(at)), most = Math.max(...some.map(at));
  const isLog = least > 0 && most / least > 20, pad = (most - least) * 0.06 || most * 0.06 || 1;
  const x = (box) => {
    const place = isLog ? scale(least / 1.3, most * 1.3, box.left, box.right) : scaleLinear(least - pad, most + pad, box.left, box.right);
    return { place, marks: positive.length ? ticksOf(least, most, 4).filter((t) => t >= least * 0.99).map((t) => [place(t), short(t)]) : [] };
  };
  const { g, X, Y } = frameOf(front, x, Math.min(...ends), Math.max(...ends), { x: price.label });
  const names = ((value.fronts[result.key] || {})[price.key] || []), joined = names.map((label) => some.find((row) => row.label === label)).filter(Boolean);
  g.append(svgNode('polyline', { points: joined.map((row) => `${X(at(row))},${Y(row.points[result.key][0])}`).join(' '), class: 'cp-join' }));
  for (const row of some) {
    const part = group(row), [mean, half] = row.points[result.key], left = X(at(row)), right = left > front.clientWidth * 0.75;
    if (half) part.append(svgNode('path', { d: `M${left} ${Y(mean + half)}V${Y(mean - half)}`, class: 'cp-bar' }));
    part.append(tip(svgNode('circle', { cx: left, cy: Y(mean), r: 4.5, class: names.includes(row.label) ? 'cp-dot' : 'cp-ring' }),
      `${row.label}: ${result.label} ${written(mean, result.digits)}${half ? ' ± ' + written(half, result.digits) : ''}; ${price.label} ${written(at(row), price.digits)}`));
    part.append(svgNode('text', { x: left + (right ? -8 : 8), y: Y(mean) - 6, 'text-anchor': right ? 'end' : 'start', class: 'cp-name' }, row.label));
    g.append(part);
  }
  front.replaceChildren(g);
  front.setAttribute('aria-label', `${result.label} against ${price.label}. Not beaten in both: ${names.join(', ')}.`);
}
function drawChanges() {
  const told = value.rows.filter((row) => row.changes.length);
  $('.cp-changes').hidden = !told.length;
  if (!told.length) return;
  const of = (row) => row.changes.find((c) => c.metric === score.value);
  fillTable($('.cp-counts'), {
    columns: [{ label: 'method' }, { label: 'fixed', number: true }, { label: 'broke', number: true }, { label: 'of', unit: 'answers', number: true }],
    rows: told.filter(of).map((row) => ({ method: row.method, cells: [row.label, ...['fixed', 'broke', 'items'].map((k) => String(of(row)[k]))] })),
  });
  const row = told.find((r) => r.label === who.value) || told[0], change = of(row);
  const list = (name, some) => make('div', {}, make('h4', {}, `${name} by ${row.label}`), ...(some.length ? some.map((e) => make('div', { class: 'cp-example' },
    make('p', {}, e.prompt), make('p', { class: 'facts' }, 'reference: ', e.reference), make('p', { class: 'facts' }, 'base: ', e.base), make('p', {}, make('b', {}, 'tuned: '), e.tuned)))
    : [make('p', { class: 'facts' }, 'None.')]));
  $('.cp-examples').replaceChildren(...(change ? [list('Fixed', change.examples_fixed), list('Broke', change.examples_broke)] : []));
}
function draw() {
  planned = false;
  const there = !!(value.rows || []).length;
  $('.cp-all').hidden = !there;
  if (!there) return;
  $('.sw-note').textContent = value.note || '';
  $('.sw-verdict').textContent = value.verdict;
  $('.cp-method').textContent = value.method;
  $('.cp-notes').replaceChildren(...value.notes.map((text) => make('li', {}, text)));
  const key = JSON.stringify([value.id, value.axes, value.costs, value.scores, value.rows.map((r) => r.label)]);
  if (key !== shown) {
    shown = key;
    pick(axis, value.axes.map((a) => [a.key, a.label]));
    pick(cost, value.costs.map((c) => [c.key, c.label]));
    pick(score, value.scores.map((m) => [m.key, m.label]));
    pick(who, value.rows.map((r) => [r.label, r.label]));
  }
  $('.cp-take').hidden = !value.rows.some((row) => row.state === 'finished');
  drawTable();
  drawPlane();
  drawFront();
  drawChanges();
}
const plan = () => {
  if (planned) return;
  planned = true;
  requestAnimationFrame(draw);
};
function take() {
  value = { rows: [], columns: [], ...(props.value || {}) };
  plan();
}
$('.cp-take').append(...[['html', 'HTML'], ['md', 'Markdown'], ['csv', 'CSV'], ['tex', 'LaTeX']].map(([as, label]) =>
  make('button', { type: 'button', class: 'lab-button', 'data-as': as, onclick: () => trigger('download', { as }) }, label)));
for (const [select, what] of [[axis, drawFront], [cost, drawFront], [score, drawChanges], [who, drawChanges]]) select.addEventListener('change', what);
new ResizeObserver(plan).observe(plane);
watch('value', take);
take();
