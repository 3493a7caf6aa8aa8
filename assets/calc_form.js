// The calculator's form, from the description that the server sends: labelled native fields, a sentence at each problem.
// Runs before calc.js. A field keeps its node, and so its focus and cursor, as long as the form's outline stays the same.
const inputs = new Map();
let outline = '';
const put = (state, name, value) => {
  const [head, key] = name.split('.');
  if (key) (state[head] = state[head] || {})[key] = value;
  else state[head] = value;
};
function control(field, id) {
  const common = { id, name: field.name, 'aria-describedby': id + '-note' };
  if (field.kind === 'choice') {
    const node = make('select', common);
    for (const [key, text] of field.choices) node.append(make('option', { value: key }, text));
    return node;
  }
  if (field.kind === 'flag') return make('input', { ...common, type: 'checkbox' });
  if (field.kind === 'long') return make('textarea', { ...common, rows: 6, spellcheck: 'false', placeholder: 'Paste a whole config.json' });
  return make('input', { ...common, type: 'text', autocomplete: 'off', spellcheck: 'false' });
}
const set = (node, value) => {
  if (node.type === 'checkbox') node.checked = value === true;
  else if (document.activeElement !== node) node.value = value;
};
const valueOf = (node) => (node.type === 'checkbox' ? node.checked : node.value.trim());
function line(field, changed, read) {
  const id = 'calc-' + field.name.replace('.', '-'), box = make('div', { class: `calc-field calc-${field.kind}${field.name === 'method' || field.kind === 'hub' ? ' calc-always' : ''}` }), node = control(field, id);
  box.append(make('label', { for: id }, field.label), node);
  if (field.kind === 'hub') {
    const button = make('button', { type: 'button' }, 'Read');
    button.addEventListener('click', () => read(node.value.trim(), button));
    node.addEventListener('keydown', (event) => event.key === 'Enter' && button.click());
    node.placeholder = 'owner/name';
    box.append(button);
  } else node.addEventListener(field.kind === 'text' || field.kind === 'long' ? 'input' : 'change', changed);
  const note = make('p', { class: 'calc-note', id: id + '-note' });
  box.append(note);
  inputs.set(field.name, { node, note, box, field });
  return box;
}
function form(root, groups, changed, read) {
  const wanted = JSON.stringify(groups.map((g) => g.fields.map((f) => [f.name, f.label, f.choices])));
  if (wanted !== outline) {
    const focused = document.activeElement && document.activeElement.id;
    outline = wanted;
    inputs.clear();
    root.replaceChildren(...groups.map((group) => {
      const set = make('fieldset');
      set.append(make('legend', {}, group.title), ...group.fields.map((f) => line(f, changed, read)));
      return set;
    }));
    if (focused && root.querySelector('#' + focused)) root.querySelector('#' + focused).focus();
  }
  for (const group of groups)
    for (const field of group.fields) {
      const entry = inputs.get(field.name);
      entry.field = field;
      if (field.kind !== 'hub') set(entry.node, field.value);
    }
}
function problems(found) {
  const left = new Set(Object.keys(found));
  for (const [name, { node, note, box, field }] of inputs) {
    const sentence = found[name];
    left.delete(name);
    note.textContent = sentence || field.help || '';
    box.classList.toggle('problem', !!sentence);
    node.setAttribute('aria-invalid', String(!!sentence));
  }
  return [...left].map((name) => found[name]);
}
function read() {
  const state = {};
  for (const [name, { node, field }] of inputs) if (field.kind !== 'hub') put(state, name, valueOf(node));
  return state;
}
