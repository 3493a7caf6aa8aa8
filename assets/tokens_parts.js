// The folded parts of the Tokenize tab. Each is built when it is first opened, and asks only then.
const parts = $('.tk-parts'), titleOf = (key) => titles[key] || key;
const button = (text, onclick) => make('button', { type: 'button', class: 'lab-button', onclick }, text);
const field = (name, control) => make('label', { class: 'tk-field' }, name, ' ', control);
const status = () => make('p', { class: 'tk-note', role: 'status' });
const scrolled = (label, ...content) => make('div', { class: 'lab-scroll', tabindex: 0, role: 'region', 'aria-label': label }, ...content);
const options = (select, pairs) => { const kept = select.value; select.replaceChildren(...pairs.map(([value, text]) => make('option', { value }, text))); if (pairs.some(([value]) => value === kept)) select.value = kept; };
const kept = () => listed.filter((entry) => chosen.has(entry.key)).concat(listed.filter((entry) => !chosen.has(entry.key))).map((entry) => [entry.key, entry.title]);
function part(name, title, sentence, build) {
  const body = make('div', { class: 'tk-body' }, make('p', { class: 'facts' }, sentence)), more = make('details', { 'data-part': name }, make('summary', {}, title), body);
  let isBuilt = false;
  more.addEventListener('toggle', () => { if (more.open && !isBuilt) { isBuilt = true; build(body); } });
  parts.append(more);
}
const asked = new Map(); // the newest question of each place: an answer to an older one that comes later is not shown
async function told(place, request, use) {
  place.textContent = 'Working.';
  asked.set(place, request);
  const answer = await ask(request);
  if (asked.get(place) !== request) return;
  place.textContent = answer.error || '';
  if (!answer.error) use(answer);
}
const unit = (text, i, lane, at) => make('span', { class: 'tk' + (i % 2 ? ' odd' : '') + (at ? ' at' : '') }, visible(text));
const unitRow = (units, at) => make('span', { class: 'tk-row tk-units', 'data-lane': 0 }, ...units.map((text, i) => unit(text, i, 0, i === at)));

part('kinds', 'Kinds of text', 'The same few sentences in several languages, and code, numbers, emoji: how many tokens a character takes, for the tokenizers chosen above.', (body) => {
  const say = status(), table = make('table', { class: 'lab-table' }), chart = make('div', { class: 'tk-bars' }), measure = make('select');
  const per = (row, k) => row.tokens[k] / row.characters;
  let answer = null;
  // What is measured, in the table and as bars: its words, its digits, and how it is had from a row.
  const measures = () => [['tokens a character', 2, per], ['characters that fit in a context of ' + answer.context.toLocaleString('en') + ' tokens', 0, (row, k) => answer.context / per(row, k)],
    ...(answer.seconds_per_token ? [['seconds for 1,000 characters of LoRA training here', 1, (row, k) => 1000 * per(row, k) * answer.seconds_per_token]] : [])];
  const draw = () => {
    const [words, digits, of] = measures()[+measure.value || 0], most = Math.max(...answer.rows.flatMap((row) => row.tokens.map((_, k) => of(row, k))), 0.01);
    chart.replaceChildren(make('ol', { class: 'tk-key' }, ...answer.keys.map((key, k) => make('li', { 'data-lane': k }, titleOf(key)))), ...answer.rows.map((row) => make('div', { class: 'tk-bar-group' }, make('span', { class: 'tk-bar-name' }, row.kind),
      make('span', { class: 'tk-bar-set' }, ...row.tokens.map((_, k) => make('span', { class: 'tk-bar', 'data-lane': k, style: 'width:' + (100 * of(row, k) / most).toFixed(1) + '%', title: titleOf(answer.keys[k]) + ': ' + number(of(row, k), digits) + ' ' + words }))))));
    fillTable(table, { columns: [{ label: words }, ...answer.keys.map((key) => ({ label: titleOf(key), number: true }))], rows: answer.rows.map((row) => ({ cells: [row.kind, ...answer.keys.map((_, k) => number(of(row, k), digits))] })) });
  };
  const go = () => told(say, { what: 'kinds', keys: listed.map((entry) => entry.key).filter((key) => chosen.has(key)) }, (found) => {
    answer = found;
    options(measure, measures().map(([words], i) => [i, words]));
    draw();
    if (!answer.seconds_per_token) say.textContent = 'The seconds of training are shown once a model was measured here.';
  });
  measure.addEventListener('change', draw);
  body.append(make('div', { class: 'tk-more' }, field('Show', measure), button('Compare again', go)), say, chart, scrolled('tokens by kind of text', table));
  go();
});

part('steps', 'How it got there', 'BPE merges the pair that comes first in its list, again and again; WordPiece takes the longest entry that fits; Unigram weighs whole segmentations.', (body) => {
  const which = make('select'), word = make('input', { type: 'text', value: 'unbelievably', maxlength: 200, size: 30 }), say = status(), out = make('div', { class: 'tk-steps' });
  const slider = make('input', { type: 'range', min: 0, value: 0, 'aria-label': 'step' });
  let steps = [];
  const draw = () => {
    const step = steps[+slider.value];
    if (step) out.replaceChildren(make('p', { class: 'facts' }, 'Step ' + slider.value + ' of ' + (steps.length - 1) + '. ' + step.note), unitRow(step.units, step.at));
  };
  const go = () => told(say, { what: 'steps', key: which.value, word: word.value }, (answer) => {
    slider.hidden = !answer.steps;
    if (answer.steps) {
      steps = answer.steps;
      slider.max = steps.length - 1;
      slider.value = steps.length - 1;
      draw();
    } else out.replaceChildren(make('div', { class: 'tk-best' }, make('span', { class: 'state' }, 'segmentation'), make('span', { class: 'state' }, 'log-probability'), ...[...answer.best.map((one, i) => [i ? 'no. ' + (i + 1) : 'the likeliest', one]), ['sampled', answer.sampled]]
      .flatMap(([name, one]) => [make('span', {}, unitRow(one.units), make('small', {}, name)), make('span', { class: 'tk-score' }, number(one.score, 2).replace('-', '\u2212'))])));
  });
  options(which, kept());
  which.addEventListener('change', go);
  word.addEventListener('keydown', (event) => event.key === 'Enter' && go());
  slider.addEventListener('input', draw);
  body.append(make('div', { class: 'tk-more' }, field('Tokenizer', which), field('Word', word), button('Show', go)), say, slider, out);
  go();
});

part('own', 'Train your own BPE', 'On the text above, or on a task of the lab. The curve shows how many characters a token holds as the vocabulary grows, on a tenth of the text that was held out.', (body) => {
  const task = make('select', {}, make('option', { value: '' }, 'the text above')), size = make('input', { type: 'range', min: 300, max: 8000, step: 100, value: 2000 });
  const shown = make('output', {}, '2,000'), say = status(), chart = make('div', { class: 'tk-curve' }), out = make('div');
  size.addEventListener('input', () => (shown.textContent = (+size.value).toLocaleString('en')));
  ask({ what: 'tasks' }).then((answer) => { if (answer.tasks) { task.append(...answer.tasks.map(([key, title]) => make('option', { value: key }, title))); task.value = answer.tasks[0][0]; } });
  const go = () => told(say, { what: 'train', text: task.value ? '' : area.value, task: task.value, size: +size.value }, (answer) => {
    const last = answer.curve[answer.curve.length - 1];
    say.textContent = answer.size.toLocaleString('en') + ' entries from ' + answer.characters.toLocaleString('en') + ' characters; ' + number(last[1], 2) + ' characters a token on held-out text.';
    chart.replaceChildren(line(answer.curve));
    const save = make('a', { class: 'lab-button', download: 'tokenizer.json', href: URL.createObjectURL(new Blob([answer.source], { type: 'application/json' })) }, 'Save as tokenizer.json');
    out.replaceChildren(make('p', { class: 'facts' }, 'The first merges: ' + answer.merges.map((m) => visible(m.replaceAll('\u0120', ' '))).join('  ')), save);
    add({ key: answer.key, title: 'yours, ' + answer.size.toLocaleString('en'), summary: 'Trained here.' });
  });
  body.append(make('div', { class: 'tk-more' }, field('Text', task), field('Vocabulary', size), shown, button('Train', go)), say, chart, out);
});
// A small curve: characters a token over entries.
function line(points) {
  const NS = 'http://www.w3.org/2000/svg', W = 560, H = 200, L = 44, B = 34;
  const node = (name, attributes, text) => { const n = document.createElementNS(NS, name); for (const k in attributes) n.setAttribute(k, attributes[k]); if (text != null) n.textContent = text; return n; };
  const x1 = Math.max(...points.map((p) => p[0])), x0 = points[0][0], y1 = Math.max(...points.map((p) => p[1])) * 1.08;
  const X = (x) => L + (W - L - 10) * (x - x0) / Math.max(x1 - x0, 1), Y = (y) => H - B - (H - B - 8) * y / y1;
  const svg = node('svg', { viewBox: `0 0 ${W} ${H}`, class: 'tk-line', role: 'img', 'aria-label': 'Characters a token by vocabulary size: ' + points.map((p) => p[0] + ' entries ' + p[1]).join(', ') });
  for (let y = 0; y <= y1; y += y1 > 4 ? 2 : y1 > 2 ? 1 : 0.5) svg.append(node('line', { x1: L, x2: W - 10, y1: Y(y), y2: Y(y), class: 'grid' }), node('text', { x: L - 6, y: Y(y) + 4, 'text-anchor': 'end' }, y));
  for (const x of [x0, (x0 + x1) / 2, x1]) svg.append(node('text', { x: X(x), y: H - 16, 'text-anchor': x === x1 ? 'end' : x === x0 ? 'start' : 'middle' }, Math.round(x).toLocaleString('en')));
  svg.append(node('text', { x: (L + W) / 2, y: H - 2, 'text-anchor': 'middle' }, 'entries'), node('text', { x: 4, y: 10 }, 'characters a token'));
  svg.append(node('path', { class: 'curve', d: points.map((p, i) => (i ? 'L' : 'M') + X(p[0]).toFixed(1) + ' ' + Y(p[1]).toFixed(1)).join('') }), ...points.map((p) => node('circle', { cx: X(p[0]), cy: Y(p[1]), r: 3 })));
  return svg;
}

part('chat', 'The chat template and the loss mask', 'A conversation as training reads it. Grey tokens are only read; coloured ones are what the model learns from.', (body) => {
  const model = make('select'), system = make('input', { type: 'text', size: 40 }), user = make('input', { type: 'text', size: 40, value: 'What is the capital of Austria?' }), assistant = make('input', { type: 'text', size: 40, value: 'Arr, that be Vienna, matey!' });
  const say = status(), out = make('div', { class: 'tk-chat' });
  const go = () => told(say, { what: 'chat', model: model.value, system: system.value, user: user.value, assistant: assistant.value }, (answer) => {
    options(model, answer.models);
    model.value = answer.model;
    say.textContent = answer.ids.length + ' tokens are read, ' + answer.learnt.filter(Boolean).length + ' of them are learnt.';
    out.replaceChildren(...answer.tokens.flatMap((text, i) => [make('span', { class: 'tk ' + (answer.learnt[i] ? 'learnt' : 'only-read') + (i % 2 ? ' odd' : ''), title: 'id ' + answer.ids[i] + (answer.learnt[i] ? ', learnt' : ', only read') }, visible(text)), text.includes('\n') ? make('br') : null]).filter(Boolean));
  });
  for (const control of [model, system, user, assistant]) control.addEventListener('change', go);
  body.append(make('div', { class: 'tk-stack' }, field('Model', model), field('System', system), field('User', user), field('Assistant', assistant)), say, out);
  go();
});

part('vocabulary', 'Search a vocabulary', 'By text, regular expression or id; or the longest entries, the strangest, and those that never come back as one token.', (body) => {
  const which = make('select'), query = make('input', { type: 'text', maxlength: 200, value: 'token', 'aria-label': 'what is looked for' }), say = status(), table = make('table', { class: 'lab-table' });
  const kind = make('select', {}, ...[['text', 'contains'], ['regex', 'regular expression'], ['id', 'id'], ['longest', 'the longest'], ['strangest', 'the strangest'], ['never', 'never come back']].map(([value, text]) => make('option', { value }, text)));
  const go = () => told(say, { what: 'vocabulary', key: which.value, kind: kind.value, query: query.value }, (answer) => {
    say.textContent = answer.found.toLocaleString('en') + ' of ' + answer.of.toLocaleString('en') + ' entries' + (answer.found > answer.entries.length ? ', the first ' + answer.entries.length + ' shown. ' : '. ') + answer.note;
    fillTable(table, { columns: [{ label: 'entry' }, { label: 'id', number: true }, { label: 'bytes' }], rows: answer.entries.map((entry) => ({ cells: [visible(entry.text), entry.id.toLocaleString('en'), entry.bytes] })) });
  });
  options(which, kept());
  kind.addEventListener('change', () => { query.disabled = ['longest', 'strangest', 'never'].includes(kind.value); go(); });
  which.addEventListener('change', go);
  query.addEventListener('keydown', (event) => event.key === 'Enter' && go());
  body.append(make('div', { class: 'tk-more' }, field('Tokenizer', which), field('Look for', kind), query, button('Search', go)), say, scrolled('entries', table));
  go();
});
