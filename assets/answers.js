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
    (props.value || {}).tools && data.text ? copyButton(data.text) : null,
    (data.earlier || []).length ? earlier(data.earlier, card + '|' + data.name) : null);
}
const button = (label, onclick, more) => make('button', { type: 'button', class: 'lab-small', onclick, ...more }, label);
function copyButton(text) {
  const node = button('Copy', async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page without https has no clipboard
      const field = make('textarea', {});
      field.value = text;
      element.append(field);
      field.select();
      document.execCommand('copy');
      field.remove();
    }
    node.textContent = 'Copied';
    setTimeout(() => (node.textContent = 'Copy'), 1500);
  });
  return node;
}
// Ask this prompt again with the next seed; keep the card while others are asked.
const tools = (data) => make('div', { class: 'lab-card-tools' },
  data.told || data.kept ? null : button('Regenerate', () => trigger('retry', { prompt: data.prompt })),
  button(data.kept ? 'Kept' : 'Keep', () => trigger('like', { id: data.id }), { 'aria-pressed': String(!!data.kept) }));
function draw() {
  const value = props.value || {}, cards = value.cards || [];
  root.replaceChildren(...(value.tools && cards.length ? [make('div', { class: 'lab-card-tools' }, 'Take these answers away:',
    ...[['csv', 'CSV'], ['md', 'Markdown']].map(([kind, label]) => button(label, () => trigger('download', { as: kind }), { 'data-as': kind })))] : []),
  ...cards.map((data, i) => make('article', { class: 'card', 'data-kept': data.kept ? '1' : null },
    data.prompt ? make('h3', {}, data.prompt) : null,
    data.note ? make('p', { class: 'note' }, data.note) : null,
    make('div', { class: 'columns' }, ...data.columns.map((c) => column(c, i))),
    value.tools ? tools(data) : null)));
}
watch('value', draw);
draw();
