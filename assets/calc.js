// The calculator: the form on the left asks the server at every change, the answers on the right are drawn from JSON.
// Every text is set as textContent. The whole state stands in the address as ?calc=…, so that a link opens it again.
const side = element.querySelector('.calc-form'), out = element.querySelector('.calc-out'), said = element.querySelector('.calc-said');
const link = element.querySelector('.calc-link input'), copy = element.querySelector('.calc-link button');
let asked = 0, timer = null, sorted = null, last = null, touched = false, runs = null;

const pack = (state) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(state)))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
function unpack(text) {
  try {
    const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    const state = JSON.parse(new TextDecoder().decode(Uint8Array.from(raw, (c) => c.charCodeAt(0))));
    return state && typeof state === 'object' && !Array.isArray(state) ? state : {};
  } catch {
    return {};
  }
}
function address(state) {
  const url = new URL(window.location);
  url.searchParams.set('calc', pack(state));
  const text = url.href.replaceAll('%2C', ',');
  if (touched) history.replaceState(history.state, '', text);
  url.searchParams.delete('__theme');
  link.value = url.href.replaceAll('%2C', ',');
}
copy.addEventListener('click', async () => {
  link.select();
  try {
    await navigator.clipboard.writeText(link.value);
  } catch {
    document.execCommand('copy'); // a page without https has no clipboard
  }
  copy.textContent = 'Copied';
  setTimeout(() => (copy.textContent = 'Copy'), 1500);
});

async function ask(state) {
  const mine = ++asked;
  let value;
  try {
    value = await server.calculate(state);
  } catch {
    said.textContent = 'The lab did not answer; change something to ask again.';
    return;
  }
  if (mine !== asked) return; // a newer question is on its way
  form(side, value.form, changed, hub);
  const elsewhere = problems(value.problems);
  said.textContent = elsewhere.join(' ') || (Object.keys(value.problems).length ? 'Put right what is marked; below is what was calculated last.' : '');
  out.classList.toggle('stale', Object.keys(value.problems).length > 0);
  address(value.state);
  if (!Object.keys(value.problems).length) answers((last = value));
}
function changed(event) {
  touched = true;
  const state = read();
  if (event.target.name === 'method') state.settings = {};
  clearTimeout(timer);
  timer = setTimeout(() => ask(state), event.type === 'input' ? 60 : 0);
}
async function hub(id, button) {
  const entry = inputs.get('hub');
  button.disabled = true;
  entry.note.textContent = 'Asking the model hub…';
  const found = await server.hub_config(id).catch(() => ({ problem: 'The lab did not answer; try again.' }));
  button.disabled = false;
  if (found.problem) {
    entry.note.textContent = found.problem;
    entry.box.classList.add('problem');
    return;
  }
  touched = true;
  ask({ ...read(), config: found.config });
}

// The answers
function section(title, ...parts) {
  const node = make('section');
  node.append(make('h3', {}, title), ...parts.flat().filter(Boolean));
  return node;
}
// Folds stay as they were when the answers are drawn anew.
const unfolded = new Set();
function folded(title, parts) {
  const node = make('details', { class: 'calc-fold' }, make('summary', {}, title), ...parts);
  node.open = unfolded.has(title);
  node.addEventListener('toggle', () => unfolded[node.open ? 'add' : 'delete'](title));
  return node;
}
const lines = (texts) => texts.filter(Boolean).map((text) => make('p', {}, text));
function table(caption, columns, rows) {
  const node = make('table', { class: 'lab-table' }), head = make('tr'), body = make('tbody'), thead = make('thead');
  if (caption) node.append(make('caption', {}, caption));
  columns.forEach((c) => {
    const cell = make('th', { scope: 'col', class: c.number ? 'number' : '' });
    cell.append(c.node || document.createTextNode(c.label));
    if (c.unit) cell.append(make('span', { class: 'unit' }, c.unit));
    head.append(cell);
  });
  for (const row of rows) {
    const tr = make('tr', { ...(row.method ? { 'data-method': row.method } : {}), class: row.own ? 'own' : '' });
    row.cells.forEach((text, i) => tr.append(make(i ? 'td' : 'th', i ? { class: columns[i].number ? 'number' : '' } : { scope: 'row' }, text)));
    body.append(tr);
  }
  thead.append(head);
  node.append(thead, body);
  const scroll = make('div', { class: 'lab-scroll', tabindex: '0', role: 'region', 'aria-label': caption || 'table' });
  scroll.append(node);
  return scroll;
}
function everyMethod(value) {
  const rows = [...value.rows];
  if (sorted) {
    const [i, up] = sorted, of = (row) => row.values[i];
    rows.sort((a, b) => {
      if (of(a) == null || of(b) == null) return (of(a) == null) - (of(b) == null);
      return (typeof of(a) === 'string' ? of(a).localeCompare(of(b)) : of(a) - of(b)) * (up ? 1 : -1);
    });
  }
  const columns = value.columns.map((c, i) => {
    const button = make('button', { type: 'button', class: 'sort' }, c.label + (sorted && sorted[0] === i ? (sorted[1] ? ' ↑' : ' ↓') : ''));
    button.addEventListener('click', () => {
      sorted = sorted && sorted[0] === i ? [i, !sorted[1]] : [i, i === 0];
      answers(last);
      out.querySelectorAll('.sort')[i].focus();
    });
    return { ...c, node: button };
  });
  const save = make('button', { type: 'button', class: 'calc-csv' }, 'Save as CSV');
  save.addEventListener('click', () => {
    const quote = (v) => (v == null ? '' : /[",\n]/.test(v) ? '"' + String(v).replaceAll('"', '""') + '"' : String(v));
    const head = value.columns.map((c) => quote(c.label + (c.unit ? ` (${c.unit})` : '')));
    const text = [head, ...rows.map((r) => r.values.map(quote))].map((r) => r.join(',')).join('\n') + '\n';
    const a = make('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/csv' })), download: 'methods.csv' });
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
  });
  return [table(value.caption, columns, rows), save];
}
function legend(names) {
  const node = make('p', { class: 'calc-legend' });
  names.forEach((name, k) => {
    const item = make('span');
    item.append(make('span', { class: 'chip part-' + k, 'aria-hidden': 'true' }), document.createTextNode(name));
    node.append(item);
  });
  return node;
}
function answers(value) {
  const parts = value.memory.parts.map((p) => ({ cells: [p.name, bytes(p.bytes), many(p.bytes)] }));
  const columns = [{ label: 'part' }, { label: 'size', number: true }, { label: 'bytes', number: true }];
  const places = value.machines.map((m) => ({ own: m.own, cells: [m.name, m.memory, m.fits, m.step, m.run, m.cost] }));
  const headings = ['machine', 'memory', 'does it fit?', 'a step', 'the run', 'cost'].map((label, i) => ({ label, number: i > 2, unit: label === 'cost' ? 'US$' : '' }));
  const read = ['model', 'parameters', 'tokens read', 'tokens a parameter', 'source'].map((label, i) => ({ label, number: i > 0 && i < 4 }));
  const [first, ...more] = value.count.sentences;
  out.replaceChildren(
    make('h2', {}, value.title),
    section('Parameters', make('p', { class: 'calc-first' }, first), lines(more), share(value.count), value.curve && lineChart(value.curve)),
    value.picture && section(value.picture.root ? `W′ = W + (α/√r) · B A, α/√r = ${value.picture.scale}` : `W′ = W + (α/r) · B A, α/r = ${value.picture.scale}`,
      make('p', {}, 'To scale: grey stays frozen, the thin ones are trained.'), matrices(value.picture)),
    section('Memory', make('p', {}, value.memory.note), stacked(value.bars), legend(value.bars.names), table('By part', columns, parts), make('p', { class: 'quiet' }, value.memory.out)),
    section('Time and cost', lines(value.time), table('On other machines', headings, places), make('p', { class: 'quiet' }, value.predicted), folded('Where these rates and prices are from', lines(value.sources))),
    section('Quick answers', lines(value.quick)),
    section('Parameters and tokens', lines(value.tokens), folded('What known models read', [table('', read, value.known)])),
    section('All methods', everyMethod(value.methods)),
    ...(runs && runs.rows.length ? [section('Predicted and measured', make('p', {}, runs.note), table(runs.caption, runs.columns, runs.rows))] : []),
  );
  for (const empty of [...out.childNodes]) if (empty.nodeType === 3) empty.remove();
}
server.measured_runs('latest').then((found) => { runs = found; if (last) answers(last); }, () => {});
const start = new URLSearchParams(window.location.search).get('calc');
ask(start ? unpack(start) : {});
