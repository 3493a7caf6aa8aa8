// The form of a sweep: four questions. `props.form` describes it, `props.value` is what was typed, and the server says what follows
// from that: the plan, problems at their fields, the names that an axis can have. What was typed survives a reload of this tab.
const KEPT = 'fine-tuning-lab-sweep-form', MOST_AXES = 6, form = props.form, parts = {};
let value = structuredClone(props.value), asking = false, again = false;
const axes = make('div', { class: 'sw-axes' }), names = make('datalist', { id: 'sweep-places' }), plan = make('div', { id: 'sweep-plan', 'aria-live': 'polite' });
const sure = make('label', { class: 'sw-sure', hidden: true }, make('input', { type: 'checkbox', id: 'sweep-sure' }), make('span'));
const wrongAxes = make('p', { class: 'lab-help' }), said = make('div', {}, wrongAxes);

function change(write) {
  return (raw) => {
    write(raw);
    value.edit = (value.edit || 0) + 1;
    share();
    follow();
  };
}
function share() {
  props.value = structuredClone(value);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(value));
  } catch {} // a browser that keeps nothing
}
function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) || 'null');
    if (kept && kept.axes) value = { ...value, ...kept };
  } catch {}
}
const title = (text) => make('h3', {}, text);
const setting = (place, field, write) => (parts[place] = settingField(field, change(write))).node;
const choice = (place, field, write) => (parts[place] = choiceField(field, 'radio', change(write))).node;

// A row an axis: the name of any setting, and its values. The rows are drawn anew when their number changes.
function drawAxes() {
  if (axes.childElementCount !== value.axes.length + 1) {
    for (const place in parts) if (place.startsWith('axes.')) delete parts[place];
    axes.replaceChildren(...value.axes.map((_, i) => {
      const name = setting(`axes.${i}.name`, { id: `axis-${i}-name`, label: i ? 'and' : 'Setting', kind: 'text' }, (raw) => (value.axes[i].name = raw));
      const values = setting(`axes.${i}.values`, { id: `axis-${i}-values`, label: 'Values', kind: 'text' }, (raw) => (value.axes[i].values = raw));
      name.querySelector('input').setAttribute('list', names.id);
      const remove = make('button', { type: 'button', class: 'lab-small', 'aria-label': 'Remove this setting', onclick: change(() => value.axes.splice(i, 1)) }, '×');
      return make('div', { class: 'sw-axis' }, name, values, value.axes.length > 1 ? remove : null);
    }), make('button', { type: 'button', class: 'lab-small', id: 'axis-add', disabled: value.axes.length >= MOST_AXES,
      onclick: change(() => value.axes.push({ name: '', values: '' })) }, 'Vary one more setting'));
  }
  value.axes.forEach((axis, i) => ['name', 'values'].forEach((part) => parts[`axes.${i}.${part}`].set(axis[part])));
}
function build() {
  sure.firstChild.addEventListener('change', () => change(() => (value.sure = sure.firstChild.checked ? sure.lastChild.textContent : ''))());
  element.querySelector('.lab-setup').replaceChildren(
    title('1 What is trained?'), choice('model', form.model, (raw) => (value.model = raw)), choice('task', form.task, (raw) => (value.task = raw)),
    make('p', { class: 'facts', id: 'sweep-task-facts' }),
    make('details', { class: 'quiet' }, make('summary', { id: 'sweep-method-title' }), choice('method', form.method, (raw) => (value.method = raw))),
    title('2 What is varied?'), make('p', { class: 'facts' }, 'Any setting by its name. Values with commas between them; one value sets it for all.'),
    axes, names, said,
    title('3 How often, how long?'), make('div', { class: 'lab-row' }, setting('seeds', form.seeds, (raw) => (value.seeds = raw)),
      ...form.train.map((f) => setting('train.' + f.name, f, (raw) => (value.train[f.name] = raw)))),
    setting('budget', form.budget, (raw) => (value.budget = raw)),
    make('details', { class: 'quiet' }, make('summary', {}, 'How it searches'), ...form.how.map((f) => setting('how.' + f.name, f, (raw) => (value.how[f.name] = raw)))),
    title('4 What will it take?'), plan, sure);
}
function draw() {
  for (const name of ['model', 'task', 'method', 'seeds', 'budget']) parts[name].set(value[name]);
  for (const f of form.train) parts['train.' + f.name].set(value.train[f.name]);
  for (const f of form.how) parts['how.' + f.name].set(value.how[f.name]);
  const method = form.method.choices.find(([, key]) => key === value.method);
  element.querySelector('#sweep-method-title').textContent = `Method: ${method ? method[0] : value.method}`;
  drawAxes();
}
// Ask the server what follows; one question at a time, the last one counts. No answer: the network is away, ask again.
async function follow() {
  draw();
  if (asking) return void (again = true);
  asking = true;
  do {
    again = false;
    const reply = await server.follow(value);
    if (reply) again || tell(reply);
    else setTimeout(follow, 2000);
  } while (again);
  asking = false;
}
function tell(reply) {
  for (const place in parts) if (parts[place].tell) parts[place].tell(reply.problems[place]);
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
  if (props.value.edit === 0) value = structuredClone(props.value);
  share();
  follow();
});
build();
draw();
setTimeout(() => { // Gradio sets the value once more while it mounts
  restore();
  share();
  follow();
});
