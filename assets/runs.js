// The shelf of runs: filter, sort, group, select. Value: {"all" | "patch": packed rows, "gone": [id, …], "stamp": number}.
// Only the rows in sight are in the document; what was selected goes to the server, and so does everything that is done.
const $ = (selector) => element.querySelector(selector);
const ROW = 36, MOST = 12;
const ENDED = ['finished', 'failed', 'cancelled', 'interrupted'];
const number = (digits) => (v) => (v == null || v === '' ? '–' : (+v.toFixed(digits) || 0).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const span = (digits) => (from, to) => (from == null ? number(digits)(to) : number(digits)(from) + ' → ' + number(digits)(to));
const when = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString('en-GB', { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit' }) : '–');
const COLUMNS = [
  { key: 'name', label: 'run', text: (r) => r.name || r.run_id },
  { key: 'method', label: 'method', text: (r) => r.title },
  { key: 'settings', label: 'settings', text: (r) => r.settings },
  { key: 'task', label: 'task', text: (r) => r.task },
  { key: 'model', label: 'model', text: (r) => r.model },
  { key: 'status', label: 'state', text: (r) => (r.status === 'running' ? `step ${r.step} of ${r.steps}` : r.status) },
  { key: 'steps', label: 'steps', digits: 0 },
  { key: 'seed', label: 'seed', digits: 0 },
  { key: 'held_out', label: 'held-out loss', unit: 'base → tuned', text: (r) => span(2)(r.base_held_out, r.held_out), right: true },
  { key: 'score', label: 'score', unit: 'base → tuned', text: (r) => span(0)(r.base_score, r.score), right: true, help: (r) => r.metric },
  { key: 'forgetting', label: 'forgetting', unit: 'nats', digits: 2 },
  { key: 'trainable', label: 'trainable', digits: 0 },
  { key: 'step_s', label: 'step', unit: 's', digits: 2 },
  { key: 'created_s', label: 'asked for', text: (r) => when(r.created_s), down: true },
  { key: 'origin', label: 'whose', text: (r) => r.origin },
];
const GROUPS = ['method', 'task', 'model', 'status', 'origin', 'settings', 'steps', 'seed'];
let rows = [], byId = new Map(), lines = [], sort = { key: 'created_s', down: true }, deleted = [], stamp = null;
const selected = new Set(), folded = new Set();

const filter = $('.rs-filter'), group = $('.rs-group'), box = $('.rs-box'), body = $('.rs-box tbody'), wrong = $('.rs-wrong');
group.append(...GROUPS.map((key) => make('option', { value: key }, (COLUMNS.find((c) => c.key === key) || {}).label || key)));

function unpack(packed) {
  const { fields, rows } = JSON.parse(packed);
  return rows.map((values) => {
    const row = { ...values[fields.length] };
    fields.forEach((field, i) => (row[field] = values[i]));
    return row;
  });
}

function take() {
  const value = props.value || {};
  if (value.stamp === stamp) return;
  stamp = value.stamp;
  if (value.all) byId = new Map(unpack(value.all).map((row) => [row.run_id, row]));
  if (value.patch) for (const row of unpack(value.patch)) byId.set(row.run_id, row);
  for (const id of value.gone || []) byId.delete(id);
  if (value.deleted) deleted = value.deleted;
  rows = [...byId.values()];
  const before = value.choose ? -1 : selected.size;
  if (value.choose) {
    selected.clear();
    for (const id of value.choose) selected.add(id);
  }
  for (const id of [...selected]) if (!byId.has(id)) selected.delete(id);
  arrange();
  if (selected.size !== before) report();
}

// What stands in the table, in order: group heads {head, key, count} and rows.
function arrange() {
  let shown = rows;
  try {
    shown = filtered(rows, filter.value);
    wrong.textContent = '';
  } catch (error) {
    wrong.textContent = error.message;
  }
  filter.setAttribute('aria-invalid', String(!!wrong.textContent));
  const key = sort.key, sign = sort.down ? -1 : 1;
  const order = (a, b) => {
    const x = a[key], y = b[key], none = (v) => v == null || v === '';
    if (none(x) || none(y)) return none(x) - none(y);
    return sign * (typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true }));
  };
  shown = [...shown].sort((a, b) => b.pinned - a.pinned || order(a, b) || b.created_s - a.created_s);
  lines = shown;
  if (group.value) {
    const groups = new Map();
    for (const row of shown) {
      const name = String(row[group.value] ?? '–') || 'the defaults';
      groups.has(name) ? groups.get(name).push(row) : groups.set(name, [row]);
    }
    lines = [...groups].flatMap(([name, own]) => [{ head: name, count: own.length }, ...(folded.has(name) ? [] : own)]);
  }
  const running = rows.filter((r) => !ENDED.includes(r.status)).length;
  $('.rs-count').textContent = (shown.length === rows.length ? '' : shown.length.toLocaleString('en') + ' of ')
    + `${rows.length.toLocaleString('en')} runs` + (running ? `, ${running} under way` : '');
  $('.rs-none').hidden = lines.length > 0;
  $('.rs-none').textContent = rows.length ? 'No run has all of that.' : 'No run yet: train one, or import a spec.';
  heads();
  draw(true);
}

function heads() {
  $('.rs-box thead').replaceChildren(make('tr', {}, make('th', { class: 'rs-pick' }, make('span', { class: 'rs-hidden' }, 'select')),
    ...COLUMNS.map((c) => make('th', {
      scope: 'col', class: c.right || c.digits != null ? 'number' : null,
      'aria-sort': sort.key === c.key ? (sort.down ? 'descending' : 'ascending') : null,
    }, make('button', { type: 'button', 'data-key': c.key, onclick: () => {
      sort = { key: c.key, down: sort.key === c.key ? !sort.down : !!(c.down || c.right) };
      arrange();
      $(`thead [data-key="${c.key}"]`).focus();
    } }, c.label, sort.key === c.key ? (sort.down ? ' ↓' : ' ↑') : ''), c.unit ? make('span', { class: 'unit' }, c.unit) : null))));
}

// The rows in sight and some around them; a spacer above and one below stand for the others.
let first = -1, last = -1;
function draw(anew) {
  const from = Math.max(0, Math.floor(box.scrollTop / ROW) - 8), to = Math.min(lines.length, from + Math.ceil((box.clientHeight || 480) / ROW) + 16);
  if (!anew && from === first && to === last) return;
  [first, last] = [from, to];
  const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const spacer = (count) => make('tr', { class: 'rs-spacer', 'aria-hidden': 'true', style: `height:${count * ROW}px` });
  body.replaceChildren(spacer(from), ...lines.slice(from, to).map((line, i) => (line.head != null ? headOf(line) : rowOf(line, from + i))), spacer(lines.length - to));
  box.querySelector('table').setAttribute('aria-rowcount', lines.length + 1);
  if (focused) body.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  tools();
}

function headOf(line) {
  const shut = folded.has(line.head);
  return make('tr', { class: 'rs-head' }, make('th', { colspan: COLUMNS.length + 1 },
    make('button', { type: 'button', 'aria-expanded': String(!shut), 'data-focus': 'g' + line.head, onclick: () => {
      shut ? folded.delete(line.head) : folded.add(line.head);
      arrange();
    } }, (shut ? '▸ ' : '▾ ') + line.head), make('span', { class: 'state' }, String(line.count))));
}

function rowOf(row, at) {
  const pick = make('input', { type: 'checkbox', 'aria-label': `select ${row.name || row.run_id}`, 'data-focus': row.run_id,
    onchange: () => choose(row.run_id, pick.checked) });
  pick.checked = selected.has(row.run_id);
  const cells = COLUMNS.map((c, i) => {
    const text = c.text ? c.text(row) : number(c.digits)(row[c.key]);
    const kind = c.right || c.digits != null ? 'number' : null, title = c.help ? c.help(row) : text.length > 24 ? text : null;
    if (i) return make('td', { class: kind, title }, text);
    return make('th', { scope: 'row', title }, row.pinned ? make('span', { class: 'rs-pin', title: 'pinned' }, '★ ') : null,
      row.name ? text : make('span', { class: 'rs-id' }, text));
  });
  cells[1].prepend(swatch());
  return make('tr', { 'data-method': row.method, 'data-run': row.run_id, 'aria-rowindex': at + 2, 'aria-selected': String(pick.checked),
    onclick: (event) => event.target === pick || choose(row.run_id, !selected.has(row.run_id)) }, make('td', { class: 'rs-pick' }, pick), ...cells);
}

function choose(id, on) {
  on ? selected.add(id) : selected.delete(id);
  draw(true);
  report();
}

let waiting = null;
function report() {
  tools();
  clearTimeout(waiting);
  waiting = setTimeout(() => trigger('select', { runs: [...selected].slice(0, MOST) }), 120);
}
const act = (doing, more) => trigger('apply', { do: doing, runs: [...selected], ...more });

function tools() {
  const chosen = [...selected].map((id) => byId.get(id)).filter(Boolean), mine = chosen.filter((r) => r.origin === 'yours');
  const over = chosen.length > MOST ? ` The first ${MOST} are shown below.` : '';
  $('.rs-chosen').textContent = chosen.length ? `${chosen.length} selected.${over}` : 'Select runs to lay their curves over each other.';
  const pinned = mine.length > 0 && mine.every((r) => r.pinned);
  const pin = $('.rs-do-pin'), remove = $('.rs-do-delete'), undo = $('.rs-do-undo');
  pin.textContent = pinned ? 'Unpin' : 'Pin';
  pin.dataset.on = pinned ? '' : '1';
  pin.disabled = remove.disabled = !mine.length;
  $('.rs-do-none').disabled = !chosen.length;
  undo.hidden = !deleted.length;
  undo.textContent = `Undo delete (${deleted.length})`;
}

$('.rs-do-pin').onclick = (event) => act('pin', { on: event.target.dataset.on === '1' });
$('.rs-do-delete').onclick = () => act('delete');
$('.rs-do-undo').onclick = () => trigger('apply', { do: 'undo', runs: deleted });
$('.rs-do-none').onclick = () => {
  selected.clear();
  draw(true);
  report();
};
filter.oninput = arrange;
group.onchange = () => {
  folded.clear();
  arrange();
};
box.addEventListener('scroll', () => requestAnimationFrame(() => draw(false)), { passive: true });
new ResizeObserver(() => draw(false)).observe(box);

// A spec from a file or pasted: read here, checked by the server.
const pasted = $('.rs-paste'), file = $('.rs-file');
file.onchange = async () => {
  if (!file.files.length) return;
  pasted.value = file.files[0].size > 64000 ? '' : await file.files[0].text();
  file.files[0].size > 64000 ? trigger('upload', { size: file.files[0].size }) : trigger('upload', { text: pasted.value });
  file.value = '';
};
$('.rs-read').onclick = () => trigger('upload', { text: pasted.value });

// While something is under way, its row is asked for again once there is more of it. The question before is a plain request:
// it fails quietly where the network is lost.
let known = '';
setInterval(async () => {
  const open = rows.filter((r) => !ENDED.includes(r.status)).map((r) => r.run_id).slice(0, 50);
  if (!open.length || !element.isConnected || document.hidden || !element.offsetParent) return;
  const lengths = JSON.stringify(await server.moved(open).catch(() => null));
  if (lengths !== 'null' && lengths !== known) trigger('tick', { runs: open });
  known = lengths;
}, 2500);
watch('value', take);
take();
arrange();
