// A new run from those that are shown: trained longer, or again with one change. Value: {"runs": [{"id", "label", "method", "steps", "more",
// "longer", "why", "fields": [{"place", "value", …}]}], "wrong": {"steps" | "value": sentence}, "stamp"}.
const root = element.querySelector('.lab-anew');
const id = (name) => props.group + '-' + name; // ids of this page's one on Train and one on Runs
let shown = null, chosen = '', place = '', steps = null, entry = null, typed = null;

const runs = () => (props.value || {}).runs || [];
const meant = () => (chosen ? runs().filter((run) => run.id === chosen) : runs());
const button = (label, ask) => make('button', { type: 'button', class: 'lab-button', onclick: () => trigger('apply', { runs: meant().map((run) => run.id), ...ask() }) }, label);

function longer() {
  const some = meant(), why = (some.find((run) => !run.longer) || {}).why;
  if (why) return make('p', { class: 'lab-help' }, (some.length > 1 ? some.find((run) => !run.longer).label + ' cannot be trained longer: ' : 'It cannot be trained longer. ') + why);
  steps = settingField({ id: id('steps'), label: `Steps in all, more than ${some[0].steps}`, kind: 'int' }, () => steps.tell(''));
  steps.set(String(some[0].more));
  return make('div', { class: 'anew-line' }, steps.node, button('Train longer', () => ({ do: 'longer', steps: steps.node.querySelector('input').value })));
}
// What all of the runs that are meant have can be changed; the field is drawn as in the form.
function clone() {
  const some = meant(), fields = some[0].fields.filter((field) => some.every((run) => run.fields.some((other) => other.place === field.place)
    && (run.method === some[0].method || !field.place.startsWith('settings.'))));
  const pick = make('select', { id: id('place'), onchange: () => draw((place = pick.value)) }, ...fields.map((f) => make('option', { value: f.place }, f.label)));
  const field = fields.find((f) => f.place === place) || fields[0];
  place = pick.value = field.place;
  typed = field.value;
  entry = settingField({ ...field, id: id('value') }, (raw) => {
    typed = raw;
    entry.tell('');
  });
  entry.set(field.value);
  return make('div', { class: 'anew-line' }, make('div', { class: 'lab-field' }, make('label', { for: pick.id }, 'What is to differ'), pick),
    entry.node, button('Clone with this change', () => ({ do: 'clone', place, value: typed })));
}
function draw() {
  const all = runs(), which = make('select', { id: id('run'), onchange: () => draw((chosen = which.value)) },
    make('option', { value: '' }, `all ${all.length} of them`), ...all.map((run) => make('option', { value: run.id }, run.label)));
  root.hidden = !all.length;
  if (!all.length) return root.replaceChildren();
  if (all.length === 1 || !all.some((run) => run.id === chosen)) chosen = '';
  which.value = chosen;
  root.replaceChildren(make('h3', {}, 'Go on from here'),
    ...(all.length > 1 ? [make('div', { class: 'lab-field' }, make('label', { for: which.id }, 'Run'), which)] : []), longer(), clone());
}
function take() {
  const value = props.value || {}, key = JSON.stringify(value.runs || []);
  if (key !== shown) {
    shown = key;
    draw();
  }
  const wrong = value.wrong || {};
  if (steps) steps.tell(wrong.steps || '');
  if (entry) entry.tell(wrong.value || '');
}
watch('value', take);
take();
