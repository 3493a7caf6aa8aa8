// What a model tried for one prompt: each answer with its reward, and its advantage over the group as a bar to the right (better than
// the group) or to the left. Value: {"step", "prompt", "answers": [{"text", "reward", "advantage"}]}.
const root = element.querySelector('.lab-groups');
function draw() {
  const value = props.value || {}, answers = value.answers || [];
  const most = Math.max(1, ...answers.map((one) => Math.abs(one.advantage)));
  root.replaceChildren(...(answers.length ? [
    make('h3', {}, `What it tried at step ${value.step}: “${value.prompt}”`),
    make('ol', {}, ...answers.map((one) => {
      const side = one.advantage > 0 ? 'above' : one.advantage < 0 ? 'below' : 'even';
      const bar = make('span', { class: 'gr-bar', 'aria-hidden': 'true' });
      bar.style.width = `${(50 * Math.abs(one.advantage)) / most}%`;
      return make('li', { class: side }, make('span', { class: 'gr-text' }, one.text || '(said nothing)'),
        make('span', { class: 'gr-paid' }, `paid ${one.reward}`),
        make('span', { class: 'gr-scale' }, bar), make('span', { class: 'gr-paid' }, `${one.advantage > 0 ? '+' : ''}${one.advantage.toFixed(2)}`));
    })),
    make('p', { class: 'lab-help' }, 'The bar is the advantage: how far an answer was paid above (right) or below (left) its group. Those above become likelier.'),
  ] : []));
}
watch('value', draw);
draw();
