// A typed filter of runs by the rules of experiments/filters.py: words anywhere, fields compared; every term must hold.
const TERM = /([a-z_]+)(<=|>=|!=|=|<|>)("[^"]*"|\S*)|"([^"]*)"|(\S+)/gi;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const numeric = (value) => {
  const text = typeof value === 'boolean' ? '' : String(value ?? '').trim();
  return NUMBER.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
};
const asText = (value) => (typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value).toLowerCase());
const compare = { '<': (a, b) => a < b, '<=': (a, b) => a <= b, '>': (a, b) => a > b, '>=': (a, b) => a >= b };
function term(field, operator, raw) {
  const value = raw.replace(/^"+|"+$/g, '').toLowerCase(), wanted = numeric(value);
  if (compare[operator] && wanted === null) throw new Error(`“${field}${operator}” needs a number after it.`);
  return (row) => {
    const found = row[field], mine = numeric(found);
    if (found == null || found === '') return operator === '!=';
    if (compare[operator]) return mine !== null && compare[operator](mine, wanted);
    return (mine !== null && wanted !== null ? mine === wanted : asText(found) === value) === (operator === '=');
  };
}
// The rows in which every term holds. Throws one sentence for a filter that means nothing.
function filtered(rows, typed) {
  const fields = new Set(rows.flatMap((row) => Object.keys(row))), terms = [];
  for (const [, field, operator, value, phrase, word] of typed.matchAll(TERM)) {
    if (!field) {
      const text = (phrase ?? word).toLowerCase();
      terms.push((row) => Object.values(row).some((v) => typeof v === 'string' && v.toLowerCase().includes(text)));
    } else if (!fields.has(field.toLowerCase())) {
      const known = [...fields].sort().join(', ');
      throw new Error(`There is no field “${field.toLowerCase().slice(0, 40)}”; there are ${known}.`);
    } else terms.push(term(field.toLowerCase(), operator, value));
  }
  return terms.length ? rows.filter((row) => terms.every((holds) => holds(row))) : rows;
}
