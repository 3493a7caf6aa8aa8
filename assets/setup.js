// The form of a comparison: four questions. `props.form` describes it (as text: read through Gradio's props, every look at a
// large object costs), `props.value` is what was typed, and the server says what
// follows from that: problems at their fields, titles, facts, costs. What was typed survives a reload of this tab.
const form = JSON.parse(props.form), folds = {};
const measured = make('p', { class: 'facts', role: 'status' });
const measure = make('button', { type: 'button', class: 'lab-button', id: 'measure', hidden: true, onclick: () => {
  measure.disabled = true;
  trigger('apply', {});
} });
let waiting, shownCosts;
const typed = typedForm({ kept: 'fine-tuning-lab-form', fits: (found) => found.version === typed.value.version, draw, tell }), { parts, change, setting, choice } = typed;
const subject = subjectOf(typed, form, () => parts.rows.refresh());
const facts = (id) => make('p', { class: 'facts', id });

function fold(method) {
  typed.value.settings[method.key] ||= {};
  const summary = make('summary', {}, method.title);
  const node = make('details', { class: 'method', id: 'fold-' + method.key, 'data-method': method.key }, summary,
    make('p', { class: 'facts' }, method.summary + ' ', method.paper ? make('a', { href: method.paper_url, target: '_blank', rel: 'noopener' }, method.paper) : null));
  folds[method.key] = { node, summary, furnished: false };
  return node;
}
// A method's fields are made when it is chosen for the first time.
function furnish(method) {
  const { node, furnished } = folds[method.key];
  if (furnished) return;
  folds[method.key].furnished = true;
  node.append(...method.fields.map((f) => setting(method.key + '.' + f.name, f, (raw) => (typed.value.settings[method.key] ||= {})[f.name] = raw)));
}

function build() {
  const rows = make('table', { class: 'lab-table' });
  const examples = make('details', { id: 'rows', class: 'quiet', ontoggle: () => examples.open && show(rows) }, make('summary', {}, 'Three rows of it'),
    make('div', { class: 'lab-scroll', tabindex: 0, role: 'region', 'aria-label': 'rows of the task' }, rows));
  const preset = make('select', { id: 'presets', 'aria-label': 'Start from a comparison', onchange: () => {
    const chosen = form.presets[preset.value];
    const { version, edit, model, hub_id } = typed.value;
    if (chosen) change(() => (typed.value = { ...structuredClone(chosen[1]), version, edit, model, hub_id }))();
    preset.value = '';
  } }, make('option', { value: '' }, 'Start from a comparison …'), ...form.presets.map(([name], i) => make('option', { value: i }, name)));
  parts.rows = { refresh: () => examples.open && show(rows) };
  element.querySelector('.lab-setup').replaceChildren(
    make('div', { class: 'lab-field' }, preset), title('1 What model?'), ...subject.model, facts('model-facts'),
    title('2 What should it learn?'), subject.task, facts('task-facts'), examples,
    title('3 Which methods?'), choice('methods', form.methods, 'checkbox', (raw) => (typed.value.methods = raw)), ...form.folds.map(fold),
    title('4 How long?'), make('div', { class: 'lab-row' },
      ...form.train.map((f) => setting('train.' + f.name, f, (raw) => (typed.value.train[f.name] = raw))),
      setting('seed', form.seed, (raw) => (typed.value.seed = raw))),
    make('details', { class: 'quiet', id: 'recipe' }, make('summary', {}, 'How it trains'),
      ...form.recipe.map((f) => setting('train.' + f.name, f, (raw) => (typed.value.train[f.name] = raw)))),
    make('details', { class: 'quiet' }, make('summary', {}, 'What these do'),
      make('ul', { class: 'facts' }, ...form.about.map(([name, text]) => make('li', {}, make('b', {}, name + ' '), text)))),
    make('div', { id: 'cost', 'aria-live': 'polite' }), make('div', { id: 'measuring' }, measure, measured));
}
async function show(rows) {
  const found = await server.rows(typed.value.task);
  if (found) fillTable(rows, found);
}

function draw() {
  subject.draw();
  parts.methods.set(typed.value.methods);
  for (const f of [...form.train, ...form.recipe]) parts['train.' + f.name].set(typed.value.train[f.name]);
  parts.seed.set(typed.value.seed);
  for (const method of form.folds) {
    const chosen = typed.value.methods.includes(method.key);
    folds[method.key].node.hidden = !chosen;
    if (chosen) furnish(method);
    if (folds[method.key].furnished) for (const f of method.fields) parts[method.key + '.' + f.name].set((typed.value.settings[method.key] || {})[f.name] ?? f.value);
  }
}
function tell(reply) {
  const problems = { ...reply.problems, ...(typed.value.wrong || {}) };
  typed.tellParts(problems, reply.advice);
  for (const method in folds) {
    const { node, summary } = folds[method], wrong = Object.keys(problems).some((place) => place.startsWith(method + '.'));
    if (summary.textContent !== reply.titles[method]) summary.textContent = reply.titles[method];
    if (wrong && !node.classList.contains('problem')) node.open = true;
    node.classList.toggle('problem', wrong);
  }
  element.querySelector('#model-facts').textContent = reply.model_facts;
  clearTimeout(waiting);
  if (reply.fetching || reply.measuring.busy) waiting = setTimeout(typed.follow, 1000); // what goes on in the background moves by itself
  element.querySelector('#task-facts').textContent = reply.task_facts;
  measure.hidden = !reply.measuring.button;
  measure.textContent = reply.measuring.button;
  measure.disabled = reply.measuring.busy;
  if (measured.textContent !== reply.measuring.said) measured.textContent = reply.measuring.said;
  if (shownCosts === (shownCosts = JSON.stringify(reply.costs))) return; // or a screen reader says the same again every second
  element.querySelector('#cost').replaceChildren(
    make('ul', {}, ...reply.costs.lines.map(([name, text]) => make('li', {}, make('b', {}, name), text))), make('p', {}, reply.costs.time));
}
watch('value', () => { // the server filled the form in, or says what is wrong with the one of that edit
  const said = props.value;
  if (said.model !== undefined) typed.value = structuredClone(said);
  else if (said.asked) typed.value.asked = said.asked;
  else if (said.edit === (typed.value.edit || 0)) typed.value.wrong = said.wrong;
  typed.share();
  typed.follow();
  parts.rows.refresh();
});
build();
typed.begin();
