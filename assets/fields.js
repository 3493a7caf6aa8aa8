// A labelled input for one setting: {"id", "name", "label", "help", "kind": "int" | "text" | "bool" | "choice", "choices"}.
// What was typed goes to `changed` as it is; whether it is right is decided by the spec, whose sentence `tell` puts here.
function settingField(field, changed) {
  const id = field.id + '-input', help = make('p', { class: 'lab-help', id: id + '-help' }, field.help || '');
  const common = { id, 'aria-describedby': help.id };
  const input = field.kind === 'choice' ? make('select', common, ...field.choices.map((c) => make('option', { value: c }, c)))
    : field.kind === 'bool' ? make('input', { ...common, type: 'checkbox' })
    : make('input', { ...common, type: 'text', autocomplete: 'off', spellcheck: 'false',
      inputmode: field.kind === 'int' ? 'numeric' : null, placeholder: field.placeholder || null });
  const read = () => (field.kind === 'bool' ? input.checked : input.value);
  input.addEventListener(field.kind === 'int' || field.kind === 'text' ? 'input' : 'change', () => changed(read()));
  if (field.kind === 'int') input.addEventListener('keydown', (event) => { // as in a number field
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !/^-?\d+$/.test(input.value.trim())) return;
    event.preventDefault();
    input.value = +input.value + by;
    changed(read());
  });
  const label = make('label', { for: id }, field.label);
  const node = make('div', { class: 'lab-field', id: field.id }, ...(field.kind === 'bool' ? [input, label] : [label, input]), help);
  return {
    node,
    set: (raw) => (field.kind === 'bool' ? (input.checked = !!raw) : input.value === String(raw ?? '') || (input.value = raw ?? '')),
    tell: (sentence, advice) => { // advice takes the place of the help and stands in nobody's way
      const text = sentence || advice || field.help || '';
      node.classList.toggle('problem', !!sentence);
      node.classList.toggle('advice', !sentence && !!advice);
      input.setAttribute('aria-invalid', !!sentence);
      if (help.textContent !== text) help.textContent = text;
    },
  };
}
// One of several (radio) or some of several (checkbox): {"id", "legend", "help", "choices": [[label, key, note], …]}.
function choiceField(field, type, changed) {
  const help = make('p', { class: 'lab-help' });
  const boxes = field.choices.map(([label, key, note]) => {
    const box = make('input', { type, name: field.id, value: key, onchange: () => changed(read()) });
    const mark = type === 'checkbox' ? make('span', { class: 'swatch', 'data-method': key, 'aria-hidden': 'true' }) : null;
    return { key, box, node: make('label', { class: 'lab-choice' }, box, mark, label), note: note ? make('span', { class: 'state' }, note) : null };
  });
  const read = () => {
    const chosen = boxes.filter((b) => b.box.checked).map((b) => b.key);
    return type === 'radio' ? chosen[0] : chosen;
  };
  const node = make('fieldset', { class: 'lab-choices', id: field.id }, make('legend', {}, field.legend),
    ...boxes.map((b) => make('span', { class: 'lab-choice-line' }, b.node, b.note)), help);
  return {
    node,
    set: (value) => boxes.forEach((b) => (b.box.checked = [].concat(value).includes(b.key))),
    tell: (sentence) => {
      node.classList.toggle('problem', !!sentence);
      help.textContent = sentence || field.help || '';
    },
  };
}
