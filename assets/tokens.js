// The Tokenize tab: as one types the text is sent, at most one request under way, and the lanes are drawn when they come.
const root = element.querySelector('.lab-tokens'), $ = (selector) => root.querySelector(selector);
const area = $('textarea'), place = $('.tk-lanes'), note = $('.tk-note'), said = $('.tk-said'), tip = $('.tk-tip'), read = $('.tk-read');
const SLOW = 400, LARGE = 50000, PASTE = 1000, MOST = 4, AGAIN = 300;
const titles = {}, chosen = new Set(props.value.chosen), heard = [];
let listed = [], lanes = [], chars = [], drawnCells = [], busy = false, dirty = false, timer = null, at = null, length = 0;
const SILENT = { error: 'The lab did not answer; the next key asks again.' };
const ask = (request) => server.ask(request).then((answer) => answer || SILENT, () => SILENT);
const number = (value, digits) => value == null ? '\u2013' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const formed = (text) => text.toWellFormed ? text.toWellFormed() : text;

// A key asks at once: while one request is under way the next waits for it, so that there is nothing to hold back. In a text so
// large that an answer takes a second, keys are gathered; a paste is one act and asks at once.
function plan(wait) {
  clearTimeout(timer);
  const isPaste = Math.abs(area.value.length - length) > PASTE;
  length = area.value.length;
  wait = wait ?? (length > LARGE && !isPaste ? SLOW : 0);
  if (wait) timer = setTimeout(send, wait);
  else send();
}
async function send() {
  if (busy) return void (dirty = true);
  busy = true;
  dirty = false;
  const text = area.value, keys = listed.map((t) => t.key).filter((key) => chosen.has(key));
  if (text.length > LARGE) note.textContent = 'Tokenizing ' + text.length.toLocaleString('en') + ' characters.';
  const answer = await ask({ what: 'lanes', text, keys });
  busy = false;
  if (answer.error) note.textContent = answer.error;
  else show(text, answer);
  if (dirty) send();
  else if (answer.more) plan(AGAIN);
}
function show(text, answer) {
  const whole = Array.from(formed(text.slice(0, 2 * answer.shown))), isCut = answer.characters > answer.shown;
  for (const lane of answer.lanes) lane.isSpecial = new Set(lane.special);
  const fit = answer.lanes.filter((lane) => lane.ids);
  chars = isCut ? whole.slice(0, answer.shown) : whole;
  for (const lane of fit) lane.ends = lane.ends.map((end) => Math.min(end, chars.length));
  const isSame = fit.map((lane) => lane.key).join() === lanes.map((lane) => lane.key).join();
  if (!isSame) {
    place.replaceChildren();
    drawnCells = [];
    $('.tk-key').replaceChildren(...fit.map((lane, l) => make('li', { 'data-lane': l }, titles[lane.key] || lane.key)));
  }
  lanes = fit;
  const now = lanes.length ? cells(lanes, chars) : [];
  redraw(place, drawnCells, now, lanes, chars);
  drawnCells = now;
  place.setAttribute('aria-label', 'Tokens. ' + lanes.map((lane) => (titles[lane.key] || lane.key) + ': ' + lane.count).join('; ') + '. Arrow keys read them.');
  note.textContent = [
    isCut ? 'Only the first ' + answer.shown.toLocaleString('en') + ' of ' + answer.characters.toLocaleString('en') + ' characters are drawn; the numbers are of all.' : '',
    ...answer.lanes.map((lane) => lane.waiting || (lane.error ? (titles[lane.key] || lane.key) + ': ' + lane.error : '')),
  ].filter(Boolean).join(' ');
  counts(answer.lanes.filter((lane) => lane.ids));
  hide();
  for (const listener of heard) listener(text);
  root.dataset.drawn = String(text.length);
}
function counts(fit) {
  const help = { label: 'comes back', number: false, help: 'Whether the tokens turned back into text are the text.' };
  fillTable($('table'), {
    columns: [{ label: 'tokenizer' }, { label: 'algorithm' }, { label: 'tokens', number: true }, { label: 'characters a token', number: true },
      { label: 'bytes a token', number: true }, { label: 'tokens a word', number: true }, help],
    rows: fit.map((lane) => ({ cells: [titles[lane.key] || lane.key, lane.family, number(lane.count, 0), number(lane.characters_per_token, 2),
      number(lane.bytes_per_token, 2), number(lane.tokens_per_word, 2), lane.lost || 'exactly'] })),
  });
}
// Which tokenizers: at most four; the oldest choice makes room.
function choose() {
  $('.tk-choose').replaceChildren(make('legend', {}, 'Tokenizers, up to four at once'), ...listed.map((entry) => {
    const box = make('input', { type: 'checkbox', onchange: () => {
      box.checked ? chosen.add(entry.key) : chosen.delete(entry.key);
      if (chosen.size > MOST) chosen.delete(chosen.values().next().value);
      choose();
      $('.tk-choose').querySelector('[data-key="' + CSS.escape(entry.key) + '"]').focus();
      plan(0);
    }, 'data-key': entry.key });
    box.checked = chosen.has(entry.key);
    return make('label', { title: entry.summary + (entry.vocabulary ? ' ' + entry.vocabulary.toLocaleString('en') + ' entries.' : '') }, box, entry.title);
  }));
}
function add(entry) {
  titles[entry.key] = entry.title;
  if (!listed.some((other) => other.key === entry.key)) listed.push(entry);
  chosen.add(entry.key);
  if (chosen.size > MOST) chosen.delete(chosen.values().next().value);
  choose();
  plan(0);
}
$('.tk-add').addEventListener('click', async () => {
  const id = $('.tk-hub').value.trim();
  if (!/^[\w.-]+\/[\w.-]+$/.test(id)) return void (said.textContent = 'A hub id looks like owner/name.');
  said.textContent = '';
  add({ key: id, title: id, summary: 'A tokenizer of the hub.' });
});
$('.tk-hub').addEventListener('keydown', (event) => event.key === 'Enter' && $('.tk-add').click());
$('.tk-file input').addEventListener('change', async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  if (file.size > 24e6) return void (said.textContent = file.name + ' is larger than 24 MB.');
  said.textContent = 'Reading ' + file.name + '.';
  const answer = await ask({ what: 'own', source: await file.text() });
  said.textContent = answer.error || '';
  if (answer.key) add({ key: answer.key, title: file.name.slice(0, 40), summary: 'A tokenizer.json of your own.' });
  event.target.value = '';
});
// A token under the pointer, or under the arrow keys: id, bytes, place.
function hide() {
  tip.hidden = true;
  for (const node of place.querySelectorAll('.tk.at')) node.classList.remove('at');
}
function point(c, l, n, byKey) {
  const node = place.children[c], token = node && node.querySelectorAll('.tk-row')[l]?.children[n];
  hide();
  if (!token) return;
  at = [c, l, n];
  const lane = lanes[l], f = facts(lane, drawnCells[c].rows[l][n], chars);
  const lines = [['token', f.name != null ? f.name : visible(f.there)], ['id', f.id.toLocaleString('en')], ['bytes', f.isSpecial ? 'none of its own' : f.bytes || 'none'],
    ['characters', f.start === f.end ? 'none of the text' : f.start + ' to ' + f.end]];
  if (f.isPart) lines.push(['', 'part of ' + visible(f.there)]);
  if (f.isSpecial) lines.push(['', 'a special token']);
  tip.replaceChildren(make('b', {}, titles[lane.key] || lane.key), ...lines.map(([name, text]) => make('div', {}, make('span', {}, name), text)));
  tip.hidden = false;
  token.classList.add('at');
  const box = token.getBoundingClientRect(), frame = root.getBoundingClientRect();
  tip.style.left = Math.max(0, Math.min(box.left - frame.left, frame.width - tip.offsetWidth)) + 'px';
  tip.style.top = box.bottom - frame.top + 6 + 'px';
  read.textContent = byKey ? (titles[lane.key] || lane.key) + ': ' + lines.map((line) => line.join(' ')).join(', ') : '';
}
place.addEventListener('pointerover', (event) => {
  const token = event.target.closest('.tk');
  if (!token) return hide();
  const row = token.parentNode, node = row.parentNode.parentNode;
  point(Array.prototype.indexOf.call(place.children, node), +row.dataset.lane, Array.prototype.indexOf.call(row.children, token));
});
place.addEventListener('pointerleave', hide);
place.addEventListener('blur', hide);
place.addEventListener('keydown', (event) => {
  if (!drawnCells.length || !['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Escape'].includes(event.key)) return;
  event.preventDefault();
  if (event.key === 'Escape') return hide();
  let [c, l, n] = at || [0, 0, -1];
  if (event.key === 'ArrowUp' || event.key === 'ArrowDown') [l, n] = [Math.max(0, Math.min(lanes.length - 1, l + (event.key === 'ArrowDown' ? 1 : -1))), 0];
  else {
    const step = event.key === 'ArrowRight' ? 1 : -1;
    n += step;
    while (c >= 0 && c < drawnCells.length && (n < 0 || n >= drawnCells[c].rows[l].length)) {
      c += step;
      if (drawnCells[c]) n = step > 0 ? 0 : drawnCells[c].rows[l].length - 1;
    }
    if (!drawnCells[c]) return;
  }
  point(c, l, n, true);
});
area.addEventListener('input', () => plan());
area.value = props.value.text;
ask({ what: 'choices' }).then((answer) => {
  if (answer.error) return void (note.textContent = answer.error);
  listed = answer.tokenizers;
  for (const entry of listed) titles[entry.key] = entry.title;
  choose();
  plan(0);
});
