// What a sweep found: the number against each setting, what it costs, what matters, all settings as lines, and a table to sort and to take away.
// It draws what sweep.js beside it tells.
const $ = (selector) => element.querySelector(selector);
const by = $('.sr-by'), cost = $('.sr-cost'), table = $('.sr-table'), pictures = { rank: $('.sr-rank'), pareto: $('.sr-pareto'), lines: $('.sr-lines') };
const NONE = { id: '', points: [], lines: [] };
let shown = null, key = null, sort = [0, 1], curve = NONE;

const rows = () => ((shown.value.found[shown.metric.key] || {}).rows || []);
const best = (some) => some.reduce((a, b) => ((shown.metric.lower ? b.mean < a.mean : b.mean > a.mean) ? b : a));
const tip = (node, text) => {
  node.append(svgNode('title', {}, text));
  return node;
};
const aboutRow = (row) => `${nameOf(shown.value, row.v)}: ${shown.metric.label} ${written(row.mean, shown.metric.digits)}`
  + (row.half == null ? '' : ` ± ${written(row.half, shown.metric.digits)} over ${row.seeds} seeds`);

// One run at every smaller rank, nothing trained, beside the ranks that were trained.
const cutHere = (i) => (curve.id === shown.value.id && shown.metric.key === 'held_out' && shown.value.axes[i].place === 'settings.rank' ? curve.points : []);
const withRanks = (axis, cut) => ({ ...axis, values: [...new Set([...axis.values, ...cut.map(([rank]) => rank)])].sort((a, b) => a - b) });
function drawCut() {
  const ours = curve.id === shown.value.id, offered = shown.value.cuts && shown.metric.key === 'held_out';
  $('.sr-offer').hidden = !offered || (ours && (!curve.ended || curve.points.length > 0));
  $('.sr-cut-said').replaceChildren(...(ours && offered ? [`Dashed: the run of ${curve.name}, cut to its strongest directions.`, ...curve.lines].map((text) => make('p', { class: 'facts' }, text)) : []));
}
function takeCut() {
  curve = props.value && props.value.points ? props.value : NONE;
  const rank = shown && curve.id === shown.value.id ? shown.value.axes.findIndex((axis) => axis.place === 'settings.rank') : -1;
  if (rank < 0) return;
  by.value = rank;
  drawRank();
  drawCut();
}
// The number against one setting: every setting a ring, the best at each value on a line, with its interval over the seeds.
function drawRank() {
  const svg = pictures.rank, i = +by.value || 0, some = rows().filter((row) => row.v[i] != null), cut = cutHere(i);
  const axis = cut.length ? withRanks(shown.value.axes[i], cut) : shown.value.axes[i];
  if (!some.length) return svg.replaceChildren();
  const groups = axis.values.map((v) => some.filter((row) => row.v[i] === v)).filter((g) => g.length).map(best);
  const ends = some.flatMap((r) => [r.mean, ...(groups.includes(r) && r.half != null ? [r.mean - r.half, r.mean + r.half] : [])]).concat(cut.map(([, loss]) => loss));
  const x = (box) => {
    const { place, ticks } = along(axis, box.left, box.right), every = ticks ? Math.ceil(ticks.length / 12) : 1;
    const marks = ticks ? ticks.filter((_, n) => n % every === 0).map((v) => [place(v), said(v)]) : ticksOf(Math.min(...axis.values), Math.max(...axis.values), 5).map((v) => [place(v), short(v)]);
    return { place, marks };
  };
  const { g, X, Y } = frameOf(svg, x, Math.min(...ends), Math.max(...ends), { x: axis.label });
  for (const row of some) g.append(tip(svgNode('circle', { cx: X(row.v[i]), cy: Y(row.mean), r: 3.5, class: 'sr-ring' }), aboutRow(row)));
  if (cut.length) g.append(svgNode('polyline', { points: cut.map(([rank, loss]) => `${X(rank)},${Y(loss)}`).join(' '), class: 'sr-cut' }));
  for (const [rank, loss, kept] of cut) g.append(tip(svgNode('rect', { x: X(rank) - 3.5, y: Y(loss) - 3.5, width: 7, height: 7, class: 'sr-cut-dot' }), `Cut to rank ${rank}: ${written(loss, 3)}, ${Math.round(100 * kept)} % of the update`));
  const numeric = axis.values.every((v) => typeof v === 'number');
  if (numeric) g.append(svgNode('polyline', { points: groups.map((r) => `${X(r.v[i])},${Y(r.mean)}`).join(' '), class: 'sr-best' }));
  for (const row of groups) {
    const at = X(row.v[i]);
    if (row.half != null) g.append(svgNode('path', { d: `M${at - 5} ${Y(row.mean + row.half)}h10M${at} ${Y(row.mean + row.half)}V${Y(row.mean - row.half)}M${at - 5} ${Y(row.mean - row.half)}h10`, class: 'sr-bar' }));
    g.append(tip(svgNode('circle', { cx: at, cy: Y(row.mean), r: 4.5, class: 'sr-dot' }), aboutRow(row)));
  }
  svg.replaceChildren(g);
  svg.setAttribute('aria-label', `${shown.metric.label} against ${axis.label}: ${groups.map((r) => `${said(r.v[i])}: ${written(r.mean, shown.metric.digits)}`).join('; ')}.`
    + (cut.length ? ` One run cut to rank ${cut.map(([rank, loss]) => `${rank}: ${written(loss, 3)}`).join('; ')}.` : ''));
}
// What a setting costs and what it brings; those that no other one beats in both are joined.
function drawPareto() {
  const svg = pictures.pareto, kind = shown.value.costs.find((c) => c.key === cost.value) || shown.value.costs[0], some = rows().filter((row) => row.cost[kind.key] != null);
  if (!some.length) return svg.replaceChildren();
  const costs = some.map((row) => row.cost[kind.key]), low = Math.min(...costs), high = Math.max(...costs), pad = (high - low) * 0.04 || high * 0.04 || 1;
  const isLog = low > 0 && high / low > 20;
  const x = (box) => {
    const place = isLog ? scale(low / 1.15, high * 1.15, box.left, box.right) : scaleLinear(low - pad, high + pad, box.left, box.right);
    return { place, marks: ticksOf(low, high, 4).filter((t) => t >= low * 0.99).map((t) => [place(t), short(t)]) };
  };
  const { g, X, Y } = frameOf(svg, x, Math.min(...some.map((r) => r.mean)), Math.max(...some.map((r) => r.mean)), { x: kind.label + (kind.unit ? `, ${kind.unit}` : '') });
  const front = (shown.value.found[shown.metric.key].front[kind.key] || []).map((n) => rows()[n]);
  g.append(svgNode('polyline', { points: front.map((r) => `${X(r.cost[kind.key])},${Y(r.mean)}`).join(' '), class: 'sr-best' }));
  for (const row of some) g.append(tip(svgNode('circle', { cx: X(row.cost[kind.key]), cy: Y(row.mean), r: front.includes(row) ? 4.5 : 3.5, class: front.includes(row) ? 'sr-dot' : 'sr-ring' }), `${aboutRow(row)}; ${kind.label} ${written(row.cost[kind.key], kind.digits)} ${kind.unit}`));
  svg.replaceChildren(g);
  svg.setAttribute('aria-label', `${shown.metric.label} against ${kind.label}. Not beaten in both: ${front.map((r) => nameOf(shown.value, r.v)).join('; ')}.`);
}
// Every setting one line over all axes and the number it ends at.
function drawLines() {
  const svg = pictures.lines, axes = shown.value.axes.filter((a) => a.values.length > 1), some = rows();
  if (!some.length) return svg.replaceChildren();
  const width = svg.clientWidth || 420, height = svg.clientHeight || 240, top = 26, floor = height - 14, left = 34, right = width - 46, g = svgNode('g', {});
  const places = axes.map((_, i) => left + ((right - left) * i) / axes.length), index = axes.map((a) => shown.value.axes.indexOf(a));
  const low = Math.min(...some.map((r) => r.mean)), high = Math.max(...some.map((r) => r.mean)), good = goodness(some.map((r) => r.mean), shown.metric.lower);
  const Y = axes.map((axis) => along(axis, floor, top)), last = scaleLinear(low, high, shown.metric.lower ? top : floor, shown.metric.lower ? floor : top);
  for (const row of [...some].reverse()) {
    const points = [...axes.map((_, i) => (row.v[index[i]] == null ? null : [places[i], Y[i].place(row.v[index[i]])])).filter(Boolean), [right, last(row.mean)]];
    const line = svgNode('polyline', { points: points.map((p) => p.join(',')).join(' '), class: 'sr-line', style: `stroke: ${shade(0.15 + 0.85 * good(row.mean))}` });
    g.append(tip(line, aboutRow(row)));
  }
  axes.forEach((axis, i) => {
    g.append(svgNode('line', { x1: places[i], x2: places[i], y1: top - 4, y2: floor, class: 'floor' }), svgNode('text', { x: places[i], y: 14, 'text-anchor': 'middle', class: 'sr-name' }, axis.label));
    const ticks = Y[i].ticks || [Math.min(...axis.values), Math.max(...axis.values)];
    for (const v of ticks) g.append(svgNode('text', { x: places[i] - 5, y: Y[i].place(v) + 4, 'text-anchor': 'end' }, typeof v === 'number' ? short(v) : said(v).slice(0, 12)));
  });
  g.append(svgNode('line', { x1: right, x2: right, y1: top - 4, y2: floor, class: 'floor' }), svgNode('text', { x: width - 2, y: 14, 'text-anchor': 'end', class: 'sr-name' }, shown.metric.label));
  for (const v of [low, high]) g.append(svgNode('text', { x: right + 5, y: last(v) + 4 }, short(v)));
  svg.replaceChildren(g);
  svg.setAttribute('aria-label', `Every setting as a line over ${axes.map((a) => a.label).join(', ')} to its ${shown.metric.label}; the table has the numbers.`);
}
const bars = (pairs) => make('div', { class: 'sr-bars' }, ...pairs.flatMap(([name, share]) => [make('span', {}, name),
  make('span', { class: 'sr-track' }, make('span', { style: `width: ${Math.round(100 * Math.max(0, Math.min(1, share)))}%` })), make('span', { class: 'number' }, Math.round(100 * share) + ' %')]));
function drawWords() {
  const found = shown.value.found[shown.metric.key] || {}, knobs = found.importance || [], rules = found.rules || [];
  $('.sr-knobs').replaceChildren(...(knobs.length ? [bars(knobs)] : [make('p', { class: 'facts' }, 'Told when the sweep has ended, from four cells on.')]));
  $('.sr-rules').replaceChildren(...(rules.length ? [bars(rules), ...found.guidance.filter(Boolean).map((text) => make('p', {}, text))]
    : [make('p', { class: 'facts' }, 'Needs two ranks and three alphas.')]));
}

// the table: one row a setting, sorted by a press on a column's name; the file has one row a cell

function columns() {
  const { value, metric } = shown, other = value.metrics.filter((m) => m.key !== metric.key);
  const numbers = (key) => (row) => {
    const found = numbersOf(row.cells, key);
    return found.length ? mean(found) : null;
  };
  return [
    ...value.axes.map((axis, i) => ({ label: axis.label, of: (row) => row.v[i], text: said, number: axis.values.every((v) => typeof v === 'number') })),
    { label: metric.label, unit: metric.unit, of: (row) => row.found && row.found.mean, text: (n) => written(n, metric.digits), number: true },
    { label: '±', unit: '95 % over seeds', of: (row) => row.found && row.found.half, text: (n) => written(n, metric.digits), number: true },
    { label: 'finished', unit: 'of its seeds', of: (row) => row.cells.filter((c) => c.status === 'finished').length, text: (n, row) => `${n} of ${row.cells.length}`, number: true },
    ...other.map((m) => ({ label: m.label, unit: m.unit, of: numbers(m.key), text: (n) => written(n, m.digits), number: true })),
    { label: 'trainable', unit: 'parameters', of: numbers('trainable'), text: (n) => written(n, 0), number: true },
  ];
}
function drawTable() {
  const all = columns(), found = new Map(rows().map((row) => [keyOf(row.v), row])), winner = rows()[0];
  const list = [...shown.settings.values()].map((setting) => ({ ...setting, found: found.get(setting.key) }));
  const of = all[sort[0]].of, rank = (v) => (v == null ? null : v);
  list.sort((a, b) => {
    const [x, y] = [rank(of(a)), rank(of(b))];
    if (x == null || y == null) return (x == null) - (y == null); // what has no value comes last, whichever way
    return (x < y ? -1 : x > y ? 1 : 0) * sort[1];
  });
  const clear = winner && rows().length > 1 && rows().slice(1).every((row) => row.worse);
  const head = all.map((c, i) => make('th', { scope: 'col', class: c.number ? 'number' : null, 'aria-sort': sort[0] === i ? (sort[1] > 0 ? 'ascending' : 'descending') : null },
    make('button', { type: 'button', class: 'sr-sort', onclick: () => {
      sort = [i, sort[0] === i ? -sort[1] : 1];
      drawTable();
    } }, c.label + (sort[0] === i ? (sort[1] > 0 ? ' ↑' : ' ↓') : '')), c.unit ? make('span', { class: 'unit' }, c.unit) : null));
  const body = list.slice(0, 500).map((row) => make('tr', { class: clear && row.found === winner ? 'sr-winner' : null },
    ...all.map((c, i) => make(i ? 'td' : 'th', { scope: i ? null : 'row', class: c.number ? 'number' : null }, c.text(c.of(row), row)))));
  table.replaceChildren(make('caption', {}, `${list.length.toLocaleString('en')} settings` + (list.length > 500 ? ', the first 500 of them' : '')), make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body));
}
function csv() {
  const { value } = shown, keys = [...new Set([...value.metrics.map((m) => m.key), ...value.costs.map((c) => c.key)])];
  const quoted = (v) => {
    let text = v == null ? '' : String(v);
    if (/^[=+\-@]/.test(text) && typeof v !== 'number') text = "'" + text; // no formula in a spreadsheet
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [[...value.axes.map((a) => a.place), 'seed', 'run', 'status', ...keys], ...value.cells.map((c) => [...c.v, c.seed, c.run, c.status, ...keys.map((k) => c.m[k])])];
  const url = URL.createObjectURL(new Blob([lines.map((line) => line.map(quoted).join(',')).join('\n') + '\n'], { type: 'text/csv' }));
  make('a', { href: url, download: `sweep-${value.id}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function draw() {
  if (!shown) return;
  const { value, metric } = shown, now = value.id + value.axes.length + metric.key;
  if (now !== key) { // another sweep or another number: best first
    if (!key || !key.startsWith(value.id)) {
      by.replaceChildren(...value.axes.map((axis, i) => make('option', { value: i }, axis.label)));
      cost.replaceChildren(...value.costs.map((c) => make('option', { value: c.key }, c.label)));
    }
    key = now;
    sort = [value.axes.length, metric.lower ? 1 : -1];
  }
  $('.sr-all').hidden = !value.cells.some((cell) => cell.status === 'finished');
  for (const node of element.querySelectorAll('.sr-what')) node.textContent = metric.label;
  drawRank();
  drawCut();
  drawPareto();
  drawLines();
  drawWords();
  drawTable();
}
window.addEventListener('lab-sweep', (event) => {
  if (!element.isConnected) return;
  shown = event.detail;
  draw();
});
by.addEventListener('change', drawRank);
cost.addEventListener('change', drawPareto);
$('.sr-cut-go').addEventListener('click', () => shown && trigger('apply', { id: shown.value.id }));
watch('value', takeCut);
$('.sr-csv').addEventListener('click', () => shown && csv());
new ResizeObserver(() => shown && (drawRank(), drawPareto(), drawLines())).observe(element);
window.dispatchEvent(new CustomEvent('lab-sweep-ready'));
