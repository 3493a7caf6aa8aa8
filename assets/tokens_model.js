// The model end: ids as a tensor, the surprise of each token, what the model expects next; base, and a tuned run of it.
part('model', 'What the model makes of it', 'Text becomes a tensor of ids; the model gives every token a probability before it reads it. Surprise is −log₂ of that, in bits: 0 is certain, 10 is one in a thousand.', (body) => {
  const model = make('select'), run = make('select', {}, make('option', { value: '' }, 'only the base')), text = make('input', { type: 'text', size: 46, maxlength: 2000, value: 'The capital of France is' });
  const chat = make('input', { type: 'checkbox' }), say = status(), out = make('div', { class: 'tk-model' });
  let current = 0;
  const me = () => ({ owner: window.labOwner || '', runs: (new URLSearchParams(location.search).get('run') || '').split(',') });
  ask({ what: 'runs', ...me() }).then((answer) => {
    if (answer.error) return void (say.textContent = answer.error);
    options(model, answer.models);
    run.append(...answer.runs.map(([key, label]) => make('option', { value: key }, label)));
  });
  async function go() {
    const mine = ++current;
    say.textContent = 'Asking the worker.';
    const asked = await ask({ what: 'read', ...me(), model: model.value, run: run.value, text: text.value, chat: chat.checked });
    if (asked.error) return void (say.textContent = asked.error);
    while (mine === current && element.isConnected) {
      const answer = await ask({ what: 'reading', asked: asked.asked });
      if (mine !== current) return;
      say.textContent = answer.error || answer.said || '';
      if ((answer.columns || []).length) draw(answer.columns);
      if (answer.ended || answer.error) return;
      await new Promise((done) => setTimeout(done, 250));
    }
  }
  // Surprise as a strip: the darker the more surprised; the number of bits stands under each token.
  function strip(title, columns, bitsOf, signed) {
    const first = columns[0];
    return make('figure', { class: 'tk-strip' }, make('figcaption', {}, title), ...first.tokens.map((token, i) => {
      const bits = bitsOf(i), share = bits == null ? 0 : Math.min(1, Math.abs(bits) / (signed ? 5 : 14));
      const tint = signed && bits < 0 ? '0, 158, 115' : signed ? '204, 121, 167' : '213, 94, 0';
      return make('span', { class: 'tk-bit', style: `background: rgba(${tint}, ${(0.75 * share).toFixed(2)})`, title: bits == null ? 'the first token has nothing before it' : number(bits, 2) + ' bits' }, make('span', {}, visible(token)), make('small', {}, bits == null ? '\u2013' : (signed && bits > 0 ? '+' : '') + number(bits, 1)));
    }));
  }
  const mean = (column) => { const known = column.bits.filter((b) => b != null); return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null; };
  function draw(columns) {
    const [base, tuned] = columns, nodes = [];
    nodes.push(make('p', {}, 'input_ids: ' + base.dtype + ' of shape [' + base.shape.join(', ') + ']' + (base.cut ? '; ' + base.cut + ' further tokens did not fit' : '')));
    nodes.push(scrolled('the tensor', make('code', { class: 'tk-tensor' }, '[[' + base.ids.join(', ') + ']]')));
    nodes.push(strip('base: ' + number(mean(base), 2) + ' bits a token', columns, (i) => base.bits[i]));
    if (tuned) {
      nodes.push(strip('tuned: ' + number(mean(tuned), 2) + ' bits a token', columns, (i) => tuned.bits[i]));
      nodes.push(strip('tuned − base: green is less surprised', columns, (i) => tuned.bits[i] == null ? null : tuned.bits[i] - base.bits[i], true));
    }
    nodes.push(make('div', { class: 'tk-next' }, ...columns.map((column, k) => make('section', {}, make('h4', {}, k ? 'The tuned model expects' : 'The base expects'), ...column.expected.map(([id, token, p]) =>
      make('button', { type: 'button', class: 'tk-candidate', title: 'id ' + id + ': append it', onclick: () => append(token) }, make('span', { class: 'tk-p', style: 'width:' + (100 * p).toFixed(1) + '%' }), make('span', { class: 'tk-word' }, visible(token) || '(nothing)'), make('span', { class: 'tk-percent' }, number(100 * p, p < 0.001 ? 3 : 1) + ' %')))))));
    out.replaceChildren(...nodes);
  }
  function append(token) {
    text.value += token;
    go();
  }
  run.addEventListener('change', go);
  text.addEventListener('keydown', (event) => event.key === 'Enter' && go());
  body.append(make('div', { class: 'tk-more' }, field('Model', model), field('Tuned run', run)), make('div', { class: 'tk-more' }, field('Text', text), make('label', {}, chat, 'as a question, in the chat template'), button('Read', go)), say, out);
});
