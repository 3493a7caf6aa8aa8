// Rows of one's own: bring them, say which column is what, see every token that would be trained on. What the form needs of it
// (key, columns, template, objective) is told to its form by the event `lab-own`; which task and model are chosen comes back by `lab-task`
// (subject.js). A page has one beside each of its forms: `form.group` is whose it is, and begins the ids.
const form = props.form, named = (name) => form.group + 'own-' + name, root = element.querySelector('.lab-own'), wrongs = {};
let value = {}, model = '', first = 0, asked = 0, answered = 0; // choices told, and the one last answered: one is on its way at a time
const wrong = (place) => (wrongs[place] = make('p', { class: 'lab-help', role: 'status' }));
const say = (text, isWrong) => {
  wrongs.data.textContent = text;
  wrongs.data.className = 'lab-help' + (isWrong ? ' own-wrong' : '');
};
const labelled = (id, text, input, place) => make('div', { class: 'lab-field' }, make('label', { for: id }, text), input, wrong(place));

const file = make('input', { type: 'file', id: named('file'), accept: '.csv,.tsv,.json,.jsonl,.ndjson,.parquet,.txt,.md' });
const pasted = make('textarea', { id: named('paste'), rows: 3, spellcheck: 'false', placeholder: 'question,answer' });
const hub = make('input', { type: 'text', id: named('hub'), autocomplete: 'off', spellcheck: 'false', placeholder: 'owner/name' });
const use = make('button', { type: 'button', class: 'lab-button', id: named('use') }, 'Use the pasted rows');
const fetchHub = make('button', { type: 'button', class: 'lab-button', id: named('fetch') }, 'Bring the data set');
const picks = {}, chosen = make('div', { id: named('choice'), hidden: true }), tokens = make('div', { id: named('tokens') });
const facts = make('p', { class: 'facts', id: named('facts'), role: 'status' }), warnings = make('ul', { class: 'facts', id: named('warnings') });
const template = make('select', { id: named('template') }, ...form.templates.map(([key, title]) => make('option', { value: key }, title)),
  make('option', { value: '' }, 'My own'));
const goal = make('select', { id: named('objective'), onchange: look }, ...form.objectives.map(([key, title]) => make('option', { value: key }, title)));
const own = make('textarea', { id: named('text'), rows: 3, spellcheck: 'false', placeholder: 'Q: {prompt}\nA: {completion}{end}' });
const longest = make('input', { type: 'number', id: named('longest'), min: 8, max: form.longest.most, value: form.longest.value, onchange: look });
const page = (text, by) => make('button', { type: 'button', class: 'lab-button', onclick: () => { first = Math.max(0, first + by * value.step); look(); } }, text);
const back = page('Earlier rows', -1), on = page('Later rows', 1), pages = make('div', { id: named('pages'), class: 'own-pages', hidden: true }, back, on);

for (const [part, title] of form.parts) picks[part] = make('select', { id: named(part), onchange: look });
template.onchange = () => { own.parentNode.hidden = !!template.value; if (template.value || own.value) look(); };
own.onchange = look;
file.onchange = async () => {
  const picked = file.files[0];
  if (!picked) return;
  if (picked.size > form.limit) return say(`The file has ${(picked.size / 1e6).toFixed(1)} MB; at most ${form.limit / 1e6} MB can be read.`, true);
  say('Uploading…');
  try {
    const { path } = await upload(picked);
    trigger('upload', { kind: 'file', path, name: picked.name, model });
  } catch {
    say('The upload was refused or broke off; nothing was kept.', true);
  }
  file.value = '';
};
use.onclick = () => { say('Reading…'); trigger('upload', { kind: 'text', text: pasted.value, model }); };
fetchHub.onclick = () => { say('Asking the model hub…'); trigger('upload', { kind: 'hub', hub: hub.value, model }); };

chosen.append(make('div', { class: 'lab-row' }, ...form.parts.map(([part, title]) => labelled(named(part), title, picks[part], part))),
  labelled(named('objective'), 'How they are learnt', goal, 'objective'), labelled(named('template'), 'Template', template, 'template'), labelled(named('text'), 'My template: {prompt}, {completion}, {end} or a column', own, 'text'),
  labelled(named('longest'), `${form.longest.label}, in tokens: what is beyond is cut`, longest, 'max_length'),
  facts, make('p', { class: 'facts' }, make('span', { class: 'own-learnt' }, 'Marked'), ' tokens count in the loss; the others are only read.'), warnings, tokens, pages);
own.parentNode.hidden = true;
root.append(make('h3', {}, 'Your own rows'), labelled(named('file'), 'A file: CSV, TSV, JSON, JSON lines, Parquet or text', file, 'file'),
  make('details', { class: 'quiet' }, make('summary', {}, 'Paste rows'), labelled(named('paste'), 'Rows, the first one naming the columns', pasted, 'pasted'), use),
  make('details', { class: 'quiet' }, make('summary', {}, 'A data set of the model hub'), labelled(named('hub'), 'Hub id', hub, 'hub'), fetchHub),
  wrong('data'), chosen);

function look() {
  if (value.key && asked++ === answered) send();
}
function send() {
  const columns = { max_length: longest.value };
  for (const part in picks) if (picks[part].value) columns[part] = picks[part].value;
  trigger('apply', { key: value.key, columns, template: template.value || own.value, objective: goal.value, model, first, asked });
}
function draw() {
  for (const place in wrongs) {
    const text = (value.wrong || {})[place] || '';
    wrongs[place].textContent = text;
    wrongs[place].parentNode.classList.toggle('problem', !!text && wrongs[place].parentNode !== root);
  }
  wrongs.data.className = 'lab-help' + (wrongs.data.textContent ? ' own-wrong' : '');
  if ((value.wrong || {}).text) { wrongs.data.textContent = value.wrong.text; wrongs.data.className = 'lab-help own-wrong'; }
  if (!value.key) return;
  chosen.hidden = false;
  for (const part in picks) {
    picks[part].replaceChildren(make('option', { value: '' }, 'none'), ...value.names.map((name) => make('option', { value: name }, name)));
    picks[part].value = (value.columns || {})[part] || '';
  }
  longest.value = value.columns.max_length ?? form.longest.value;
  goal.value = value.objective;
  goal.parentNode.hidden = !form.objectives.length || (goal.value === 'sft' && !picks.rejected.value && !picks.label.value);
  const known = form.templates.some(([key]) => key === value.template);
  template.value = known ? value.template : '';
  if (!known) own.value = value.template;
  own.parentNode.hidden = known;
  facts.textContent = value.train ? `${value.rows.toLocaleString()} rows: ${value.train.toLocaleString()} to train on, ${value.held_out.toLocaleString()} held out.` : '';
  first = value.first ?? first;
  pages.hidden = !(value.examples || []).length || value.train <= value.step;
  back.disabled = first === 0;
  on.disabled = first + value.step >= value.train;
  warnings.replaceChildren(...(value.warnings || []).map((text) => make('li', {}, text)));
  tokens.replaceChildren(...(value.examples || []).map((row) => make('figure', { class: 'own-row' },
    make('figcaption', {}, `${row.title}: ${row.learnt} of ${row.count} tokens are learnt. ${row.cut}`),
    make('p', {}, ...row.tokens.map(([text, learnt]) => make('span', { class: learnt ? 'own-learnt' : 'own-read' }, text.replaceAll('\n', '⏎\n')))))));
}
function tell() {
  window.dispatchEvent(new CustomEvent('lab-own', { detail: { group: form.group, own: { key: value.key || '', columns: value.columns || {}, template: value.template || '', objective: goal.value } } }));
}
watch('value', () => {
  const said = props.value || {};
  answered = said.asked || answered;
  if (answered < asked) return send(); // chosen meanwhile: what is drawn would undo it
  value = said.key ? said : { ...value, wrong: said.wrong };
  draw();
  tell();
});
window.addEventListener('lab-task', (event) => {
  if (event.detail.group !== form.group) return;
  const opened = root.hidden && event.detail.task === 'own', moved = model !== event.detail.model, known = event.detail.own || {};
  root.hidden = event.detail.task !== 'own';
  const place = document.querySelector(form.after); // a place in the form
  if (place && place.nextSibling !== root) place.after(root);
  model = event.detail.model;
  if (root.hidden) return;
  if (value.key && moved) look();
  else if (value.key && opened) tell();
  else if (opened && known.key) trigger('apply', { ...known, model, asked: ++asked }); // after a reload
});
window.dispatchEvent(new CustomEvent('lab-own-ready'));
