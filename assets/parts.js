// What every drawn part builds with. Text is only ever set as textContent.
const make = (tag, attributes, ...content) => {
  const node = document.createElement(tag);
  for (const name in attributes) {
    const value = attributes[name];
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value != null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...content.filter((part) => part != null));
  return node;
};
const swatch = () => make('span', { class: 'swatch', 'aria-hidden': 'true' });
// {"caption", "columns": [{"label", "unit", "help", "number"}], "rows": [{"method", "cells"}]} into a <table>.
function fillTable(table, value) {
  const columns = value.columns || [], kind = (i) => (columns[i] || {}).number ? 'number' : null;
  const head = columns.map((c, i) => make('th', { scope: 'col', class: kind(i), title: c.help || null }, c.label,
    c.unit ? make('span', { class: 'unit' }, c.unit) : null));
  const rows = (value.rows || []).map((row) => make('tr', { 'data-method': row.method || null },
    ...row.cells.map((text, i) => i ? make('td', { class: kind(i) }, text)
      : make('th', { scope: 'row' }, row.method ? swatch() : null, text))));
  table.replaceChildren(...(value.caption ? [make('caption', {}, value.caption)] : []),
    make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...rows));
}
