// The form of a comparison within an equal budget: four questions. What is typed and what follows from it: form.js.
const form = props.form;
const typed = typedForm({ kept: 'fine-tuning-lab-compare-form', fits: (found) => found.methods, draw, tell }), { parts, setting } = typed;
const subject = subjectOf(typed, form), plan = make('div', { id: 'compare-plan', 'aria-live': 'polite' });

function build() {
  element.querySelector('.lab-setup').replaceChildren(
    title('1 What model and task?'), ...subject.model, subject.task, make('p', { class: 'facts', id: 'compare-task-facts' }),
    title('2 Which methods?'), typed.choice('methods', form.methods, 'checkbox', (raw) => (typed.value.methods = raw)),
    title('3 Equal what?'), typed.choice('kind', form.kind, 'radio', (raw) => {
      typed.value.kind = raw;
      typed.value.amount = form.amounts[raw];
    }), setting('amount', form.amount, (raw) => (typed.value.amount = raw)),
    make('div', { class: 'lab-row' }, ...form.train.map((f) => setting('train.' + f.name, f, (raw) => (typed.value.train[f.name] = raw))),
      setting('seeds', form.seeds, (raw) => (typed.value.seeds = raw)), setting('rates', form.rates, (raw) => (typed.value.rates = raw))),
    title('4 What will it take?'), plan);
}
function draw() {
  subject.draw();
  for (const name of ['methods', 'kind', 'amount', 'seeds', 'rates']) parts[name].set(typed.value[name]);
  for (const f of form.train) parts['train.' + f.name].set(typed.value.train[f.name]);
  parts['train.steps'].node.hidden = ['steps', 'seconds'].includes(typed.value.kind); // the budget says how many
  parts.amount.node.querySelector('label').textContent = form.units[typed.value.kind] || 'Budget';
}
function tell(reply) {
  typed.tellParts(reply.problems);
  element.querySelector('#compare-task-facts').textContent = reply.task_facts;
  plan.replaceChildren(...reply.plan.map((line) => make('p', {}, line)));
}
watch('value', () => { // the server filled the form in
  if (props.value.edit === 0) typed.value = structuredClone(props.value);
  typed.share();
  typed.follow();
});
build();
typed.begin();
