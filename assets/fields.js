// The usual range of a value on a log axis, [from, to], with what is typed on it: a decade and a half on either side.
function usualRange([from, to]) {
  const W = 240, low = Math.log10(from) - 1.5, high = Math.log10(to) + 1.5, at = (value) => (W * (Math.log10(value) - low)) / (high - low);
  const svg = (tag, attributes, text) => {
    const part = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const name in attributes) part.setAttribute(name, attributes[name]);
    if (text) part.textContent = text;
    return part;
  };
  const short = (value) => String(Number(value.toPrecision(3))).length > 6 ? value.toExponential() : String(Number(value.toPrecision(3)));
  const node = svg('svg', { class: 'lab-usual', viewBox: `-6 0 ${W + 12} 30`, role: 'img' }), dot = svg('circle', { cy: 9, r: 5 });
  node.append(svg('line', { class: 'axis', x1: 0, x2: W, y1: 9, y2: 9 }),
    svg('line', { class: 'band', x1: at(from), x2: at(to), y1: 9, y2: 9 }), dot,
    svg('text', { x: at(from), y: 28, 'text-anchor': 'middle' }, short(from)), svg('text', { x: at(to), y: 28, 'text-anchor': 'middle' }, short(to)));
  for (let decade = Math.ceil(low); decade <= high; decade++) node.insertBefore(svg('line', { class: 'tick', x1: at(10 ** decade), x2: at(10 ** decade), y1: 5, y2: 13 }), dot);
  return {
    node,
    mark: (typed) => {
      const value = Number(typed), known = Number.isFinite(value) && value > 0;
      dot.setAttribute('visibility', known ? 'visible' : 'hidden');
      if (known) dot.setAttribute('cx', Math.max(0, Math.min(W, at(value))));
      const inside = known && from <= value && value <= to;
      dot.setAttribute('class', inside ? 'inside' : 'outside');
      const where = inside ? 'inside' : value < from ? 'below' : 'above';
      node.setAttribute('aria-label', `${known ? `${typed}, ${where} the` : 'The'} usual range of ${short(from)} to ${short(to)}`);
    },
  };
}
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
  const label = make('label', { for: id }, field.label), range = field.usual ? usualRange(field.usual) : null;
  const node = make('div', { class: 'lab-field', id: field.id }, ...(field.kind === 'bool' ? [input, label] : [label, input]), range && range.node, help);
  if (range) input.addEventListener('input', () => range.mark(input.value));
  return {
    node,
    set: (raw) => {
      if (field.kind === 'bool') input.checked = !!raw;
      else if (input.value !== String(raw ?? '')) input.value = raw ?? '';
      if (range) range.mark(input.value);
    },
    tell: (sentence, advice) => { // advice takes the place of the help and stands in nobody's way
      const text = sentence || advice || field.help || '';
      node.classList.toggle('problem', !!sentence);
      node.classList.toggle('advice', !sentence && !!advice);
      input.setAttribute('aria-invalid', !!sentence);
      if (help.textContent !== text) help.textContent = text;
    },
  };
}
// One of several (radio) or some of several (checkbox): {"id", "legend", "help", "choices": [[label, key, note], …], "folded": [key, …]}.
// What is folded stands below the others and comes out when one of it is chosen.
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
  const folded = field.folded || [], line = (b) => make('span', { class: 'lab-choice-line' }, b.node, b.note);
  const more = folded.length ? make('details', { class: 'quiet' }, make('summary', {}, folded.length + ' more'),
    make('div', { class: 'lab-choices' }, ...boxes.filter((b) => folded.includes(b.key)).map(line))) : null;
  const node = make('fieldset', { class: 'lab-choices', id: field.id }, make('legend', {}, field.legend),
    ...boxes.filter((b) => !folded.includes(b.key)).map(line), ...(more ? [more] : []), help);
  return {
    node,
    set: (value) => {
      boxes.forEach((b) => (b.box.checked = [].concat(value).includes(b.key)));
      if (more && boxes.some((b) => b.box.checked && folded.includes(b.key))) more.open = true;
    },
    tell: (sentence) => {
      node.classList.toggle('problem', !!sentence);
      help.textContent = sentence || field.help || '';
    },
  };
}
