// What is trained on what, a part of a form: a model of the list or any of the hub, a task or rows of one's own. Those are brought beside
// the form (own.js): which are meant comes from there by the event `lab-own`, what is chosen here goes there by `lab-task`.
function subjectOf(typed, form, chosen = () => {}) {
  const { parts, change } = typed;
  const announce = () => window.dispatchEvent(new CustomEvent('lab-task', { detail: { group: form.group, task: typed.value.task, own: typed.value.own,
    model: typed.value.model === form.another ? typed.value.hub_id : typed.value.model } }));
  window.addEventListener('lab-own-ready', announce);
  window.addEventListener('lab-own', ({ detail }) => {
    if (detail.group === form.group) change((own) => (typed.value.own = own))(detail.own);
  });
  return {
    model: [typed.choice('model', form.model, 'radio', (raw) => (typed.value.model = raw)), typed.setting('hub_id', form.hub_id, (raw) => (typed.value.hub_id = raw))],
    task: typed.choice('task', form.task, 'radio', (raw) => {
      typed.value.task = raw;
      chosen();
    }),
    draw: () => {
      for (const name of ['model', 'hub_id', 'task']) parts[name].set(typed.value[name]);
      parts.hub_id.node.hidden = typed.value.model !== form.another;
      announce();
    },
  };
}
