// What is known of the selected runs: what differs, settings side by side, a name and a note of one's own, files to take away.
const root = element.querySelector('.lab-detail');
const FILES = [['adapter', 'Adapter (zip)'], ['jsonl', 'Events (JSONL)'], ['csv', 'Curve (CSV)'], ['yaml', 'Spec (YAML)']];
let shown = null;
const fold = (summary, value, open) => {
  if (!value.rows.length) return null;
  const table = make('table', { class: 'lab-table' });
  fillTable(table, value);
  return make('details', { open, class: 'quiet' }, make('summary', {}, summary),
    make('div', { class: 'lab-scroll', tabindex: 0, role: 'region', 'aria-label': summary }, table));
};
function own(value) {
  const id = value.runs[0], save = (doing, text) => trigger('apply', { do: doing, runs: [id], text });
  const name = make('input', { type: 'text', id: 'run-name', maxlength: 200, value: value.name, onchange: () => save('rename', name.value) });
  const note = make('textarea', { id: 'run-note', rows: 2, onchange: () => save('annotate', note.value) });
  note.value = value.note;
  return make('div', { class: 'rs-own' }, make('div', { class: 'lab-field' }, make('label', { for: 'run-name' }, 'Name'), name),
    make('div', { class: 'lab-field' }, make('label', { for: 'run-note' }, 'Note'), note));
}
function link(value) {
  const url = new URL(window.location);
  url.search = '?run=' + value.runs.slice(0, 8).join(',');
  return make('p', {}, make('a', { href: url.href }, value.runs.length > 1 ? 'Open as a comparison' : 'Open in Train'));
}
function draw() {
  const value = props.value || {}, key = JSON.stringify(value);
  if (key === shown) return;
  shown = key;
  if (!(value.runs || []).length) return root.replaceChildren();
  const one = value.runs.length === 1;
  root.replaceChildren(...[
    value.sentence ? make('p', { class: 'rs-sentence' }, value.sentence) : one ? make('h3', {}, value.name || value.labels[0]) : null,
    value.cause ? make('p', { class: 'note' }, value.cause) : null,
    link(value),
    one && value.mine ? own(value) : null,
    one ? make('div', { class: 'rs-files', role: 'group', 'aria-label': 'download' }, ...FILES.map(([kind, label]) => make('button', {
      type: 'button', class: 'lab-button', 'data-as': kind, disabled: kind === 'adapter' && !value.adapter,
      onclick: () => trigger('download', { as: kind, runs: value.runs }),
    }, label))) : null,
    one ? null : fold(`${value.different.rows.length} settings differ`, value.different, true),
    fold(one ? 'All settings' : `${value.equal.rows.length} settings are equal`, value.equal, false),
  ].filter(Boolean));
}
watch('value', draw);
draw();
