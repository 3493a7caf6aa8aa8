// The form of a sweep: four questions. `props.form` describes it, `props.value` is what was typed, and the server says what follows
// from that: the plan, problems at their fields, the names that an axis can have. What was typed survives a reload of this tab.
const MOST_AXES = 6, form = props.form;
const typed = typedForm({ kept: 'fine-tuning-lab-sweep-form', fits: (found) => found.axes, draw, tell }), { parts, change, setting } = typed;
const subject = subjectOf(typed, form), choice = (place, field, write) => typed.choice(place, field, 'radio', write);
const axes = make('div', { class: 'sw-axes' }), names = make('datalist', { id: 'sweep-places' }), plan = make('div', { id: 'sweep-plan', 'aria-live': 'polite' });
const sure = make('label', { class: 'sw-sure', hidden: true }, make('input', { type: 'checkbox', id: 'sweep-sure' }), make('span'));
const wrongAxes = make('p', { class: 'lab-help' }), said = make('div', {}, wrongAxes);

// A row an axis: the name of any setting, and its values. The rows are drawn anew when their number changes.
function drawAxes() {
  if (axes.childElementCount !== typed.value.axes.length + 1) {
    for (const place in parts) if (place.startsWith('axes.')) delete parts[place];
    axes.replaceChildren(...typed.value.axes.map((_, i) => {
      const name = setting(`axes.${i}.name`, { id: `axis-${i}-name`, label: i ? 'and' : 'Setting', kind: 'text' }, (raw) => (typed.value.axes[i].name = raw));
      const values = setting(`axes.${i}.values`, { id: `axis-${i}-values`, label: 'Values', kind: 'text' }, (raw) => (typed.value.axes[i].values = raw));
      name.querySelector('input').setAttribute('list', names.id);
      const remove = make('button', { type: 'button', class: 'lab-small', 'aria-label': 'Remove this setting', onclick: change(() => typed.value.axes.splice(i, 1)) }, '×');
      return make('div', { class: 'sw-axis' }, name, values, typed.value.axes.length > 1 ? remove : null);
    }), make('button', { type: 'button', class: 'lab-small', id: 'axis-add', disabled: typed.value.axes.length >= MOST_AXES,
      onclick: change(() => typed.value.axes.push({ name: '', values: '' })) }, 'Vary one more setting'));
  }
  typed.value.axes.forEach((axis, i) => ['name', 'values'].forEach((part) => parts[`axes.${i}.${part}`].set(axis[part])));
}
function build() {
  sure.firstChild.addEventListener('change', () => change(() => (typed.value.sure = sure.firstChild.checked ? sure.lastChild.textContent : ''))());
  element.querySelector('.lab-setup').replaceChildren(
    title('1 What is trained?'), ...subject.model, subject.task, make('p', { class: 'facts', id: 'sweep-task-facts' }),
    make('details', { class: 'quiet' }, make('summary', { id: 'sweep-method-title' }), choice('method', form.method, (raw) => (typed.value.method = raw))),
    title('2 What is varied?'), make('p', { class: 'facts' }, 'Any setting by its name. Values with commas between them; one value sets it for all.'),
    axes, names, said,
    title('3 How often, how long?'), make('div', { class: 'lab-row' }, setting('seeds', form.seeds, (raw) => (typed.value.seeds = raw)),
      ...form.train.map((f) => setting('train.' + f.name, f, (raw) => (typed.value.train[f.name] = raw)))),
    setting('budget', form.budget, (raw) => (typed.value.budget = raw)),
    make('details', { class: 'quiet' }, make('summary', {}, 'How it searches'), ...form.how.map((f) => setting('how.' + f.name, f, (raw) => (typed.value.how[f.name] = raw)))),
    title('4 What will it take?'), plan, sure);
}
function draw() {
  subject.draw();
  for (const name of ['method', 'seeds', 'budget']) parts[name].set(typed.value[name]);
  for (const f of form.train) parts['train.' + f.name].set(typed.value.train[f.name]);
  for (const f of form.how) parts['how.' + f.name].set(typed.value.how[f.name]);
  const method = form.method.choices.find(([, key]) => key === typed.value.method);
  element.querySelector('#sweep-method-title').textContent = `Method: ${method ? method[0] : typed.value.method}`;
  drawAxes();
}
function tell(reply) {
  typed.tellParts(reply.problems);
  wrongAxes.textContent = reply.problems.axes || '';
  said.classList.toggle('problem', !!reply.problems.axes);
  element.querySelector('#sweep-task-facts').textContent = reply.task_facts;
  names.replaceChildren(...reply.places.map(([name, label]) => make('option', { value: name }, label)));
  plan.replaceChildren(...reply.plan.map((line) => make('p', {}, line)));
  sure.hidden = !reply.asks;
  if (sure.lastChild.textContent !== reply.asks) sure.firstChild.checked = false;
  sure.lastChild.textContent = reply.asks;
}
watch('value', () => { // the server filled the form in
  if (props.value.edit === 0) typed.value = structuredClone(props.value);
  typed.share();
  typed.follow();
});
build();
typed.begin();
