// Answers side by side: one card a prompt, one column a model. Words that differ from the base are in <mark>.
const root = element.querySelector('.lab-answers');
const opened = new Set();
function marked(text, marks) {
  const node = make('p', { class: 'answer' });
  let at = 0;
  for (const [from, to] of marks || []) {
    node.append(text.slice(at, from), make('mark', {}, text.slice(from, to)));
    at = to;
  }
  node.append(text.slice(at));
  return node;
}
const state = (text) => (text ? make('span', { class: 'state' }, text) : null);
function earlier(answers, key) {
  const more = make('details', {
    open: opened.has(key), ontoggle: () => (more.open ? opened.add(key) : opened.delete(key)),
  }, make('summary', {}, 'earlier answers'));
  for (const old of answers) more.append(make('p', { class: 'answer' }, state(old.state), old.text));
  return more;
}
function column(data, card) {
  return make('section', { class: 'column', 'data-method': data.method },
    make('h4', {}, swatch(), data.name, state(data.state)),
    marked(data.text, data.marks),
    (data.earlier || []).length ? earlier(data.earlier, card + '|' + data.name) : null);
}
function draw() {
  root.replaceChildren(...((props.value || {}).cards || []).map((data, i) => make('article', { class: 'card' },
    data.prompt ? make('h3', {}, data.prompt) : null,
    data.note ? make('p', { class: 'note' }, data.note) : null,
    make('div', { class: 'columns' }, ...data.columns.map((c) => column(c, i))))));
}
watch('value', draw);
draw();
