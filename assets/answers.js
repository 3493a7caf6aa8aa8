// Answers side by side: one card a prompt, one column a model. Words that differ from the base are in <mark>.
const root = element.querySelector('.lab-answers');
const make = (tag, attributes, text) => {
  const node = document.createElement(tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  if (text != null) node.textContent = text;
  return node;
};
const open = new Set();
function marked(text, marks) {
  const node = make('p', { class: 'answer' });
  let at = 0;
  for (const [from, to] of marks || []) {
    node.append(document.createTextNode(text.slice(at, from)), make('mark', {}, text.slice(from, to)));
    at = to;
  }
  node.append(document.createTextNode(text.slice(at)));
  return node;
}
function column(data, card) {
  const node = make('section', { class: 'column', 'data-method': data.method });
  const head = make('h4');
  head.append(make('span', { class: 'swatch', 'aria-hidden': 'true' }), document.createTextNode(data.name));
  if (data.state) head.append(make('span', { class: 'state' }, data.state));
  node.append(head, marked(data.text, data.marks));
  if ((data.earlier || []).length) {
    const key = card + '|' + data.name, more = make('details');
    more.open = open.has(key);
    more.addEventListener('toggle', () => (more.open ? open.add(key) : open.delete(key)));
    more.append(make('summary', {}, 'earlier answers'));
    for (const old of data.earlier) {
      const line = make('p', { class: 'answer' });
      line.append(make('span', { class: 'state' }, old.state), document.createTextNode(old.text));
      more.append(line);
    }
    node.append(more);
  }
  return node;
}
function draw() {
  const value = props.value || {};
  root.replaceChildren(...(value.cards || []).map((data, i) => {
    const card = make('article', { class: 'card' });
    if (data.prompt) card.append(make('h3', {}, data.prompt));
    if (data.note) card.append(make('p', { class: 'note' }, data.note));
    const columns = make('div', { class: 'columns' });
    columns.append(...data.columns.map((c) => column(c, i)));
    card.append(columns);
    return card;
  }));
}
watch('value', draw);
draw();
