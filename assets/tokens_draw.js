// Tokens of several tokenizers over one text, one row each, cut into cells where all of them have a boundary. Cells that
// did not change since the last draw stay in the page, so that a key press touches few nodes.
const WHITE = { ' ': '\u00b7', '\n': '\u23ce', '\t': '\u2192', '\r': '\u240d', '\u00a0': '\u237d' };
const encoder = new TextEncoder();
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0').toUpperCase()).join(' ');
// A text as it is shown: spaces and control characters made visible, what has no width named by its number.
function visible(text) {
  let out = '';
  for (const c of text) {
    const code = c.codePointAt(0);
    if (WHITE[c]) out += WHITE[c];
    else if (code < 32) out += String.fromCharCode(0x2400 + code);
    else if (code === 127) out += '\u2421';
    else if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]|[\u2000-\u200a\u202f\u205f\u3000]/u.test(c) && code !== 0xfffd)
      out += '\u27e8' + code.toString(16).toUpperCase().padStart(4, '0') + '\u27e9';
    else if (/\p{M}/u.test(c) && out === '') out += '\u25cc' + c;
    else out += c;
  }
  return out;
}
// The lanes as cells: [{start, end, key, rows: [[token index, …], …]}]; a token that stands for no text goes to the next cell.
function cells(lanes, chars) {
  const length = chars.length, blocked = new Uint8Array(length + 1);
  for (const lane of lanes)
    for (let i = 0; i < lane.ids.length; i++) for (let p = lane.starts[i] + 1; p < lane.ends[i]; p++) blocked[p] = 1;
  const found = [], cursors = lanes.map(() => 0);
  let start = 0;
  for (let p = 1; p <= length; p++) {
    if (blocked[p] && p < length) continue;
    const rows = lanes.map((lane, l) => {
      const row = [];
      while (cursors[l] < lane.ids.length && (lane.starts[cursors[l]] < p || p === length)) row.push(cursors[l]++);
      return row;
    });
    const key = rows.map((row, l) => row.map((i) => lanes[l].ids[i] + ':' + (lanes[l].starts[i] - start) + ':' + (lanes[l].ends[i] - start)).join()).join('|');
    found.push({ start, end: p, text: chars.slice(start, p).join(''), key, rows });
    start = p;
  }
  return found;
}
// What a token is, in words and numbers.
function facts(lane, i, chars) {
  const start = lane.starts[i], end = lane.ends[i], there = chars.slice(start, end).join('');
  const isSpecial = lane.isSpecial.has(i), odd = lane.odd[i], name = lane.names[i];
  const bytes = odd != null ? odd.replace(/../g, '$& ').trim().toUpperCase() : hex(encoder.encode(there));
  const isPart = odd != null && odd.length / 2 < encoder.encode(there).length && /<0x/.test(name || '');
  return { there, name, isSpecial, isPart, bytes, id: lane.ids[i], start, end };
}
function tokenNode(lane, l, i, n, chars) {
  const f = facts(lane, i, chars), kind = ['tk', n % 2 ? 'odd' : ''];
  if (f.isSpecial) kind.push('special');
  if (f.isPart) kind.push('part');
  const label = f.isPart ? f.bytes : f.end === f.start ? visible(f.name || '') : f.isSpecial ? f.name : visible(f.there);
  return make('span', { class: kind.join(' ').trim(), 'data-row': l }, label);
}
function cellNode(cell, lanes, chars) {
  const grid = make('span', { class: 'tk-cell' });
  cell.rows.forEach((row, l) => grid.append(make('span', { class: 'tk-row', 'data-lane': l }, ...row.map((i, n) => tokenNode(lanes[l], l, i, n, chars)))));
  return make('span', {}, grid, cell.text.includes('\n') ? make('br') : null);
}
// Draw cells into `place`, keeping the nodes of the same beginning and the same end.
function redraw(place, before, now, lanes, chars) {
  const same = (a, b) => a.key === b.key && a.text === b.text;
  let head = 0, tail = 0;
  const most = Math.min(before.length, now.length);
  while (head < most && same(before[head], now[head])) head++;
  while (tail < most - head && same(before[before.length - 1 - tail], now[now.length - 1 - tail])) tail++;
  const old = Array.from(place.children).slice(head, before.length - tail);
  const fresh = document.createDocumentFragment();
  for (let i = head; i < now.length - tail; i++) fresh.append(cellNode(now[i], lanes, chars));
  const next = place.children[before.length - tail] || null;
  for (const node of old) node.remove();
  place.insertBefore(fresh, next);
}
