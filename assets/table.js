// A table from JSON; every text is set as textContent. Numbers are right-aligned, and units stand in the header.
const table = element.querySelector('table');
const make = (tag, attributes, text) => {
  const node = document.createElement(tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  if (text != null) node.textContent = text;
  return node;
};
function draw() {
  const value = props.value || {}, columns = value.columns || [];
  element.querySelector('.lab-scroll').setAttribute('aria-label', value.caption || 'table');
  const parts = [];
  if (value.caption) parts.push(make('caption', {}, value.caption));
  const head = make('tr');
  for (const column of columns) {
    const cell = make('th', { scope: 'col', class: column.number ? 'number' : '' }, column.label);
    if (column.help) cell.title = column.help;
    if (column.unit) cell.append(make('span', { class: 'unit' }, column.unit));
    head.append(cell);
  }
  const thead = make('thead');
  thead.append(head);
  const tbody = make('tbody');
  for (const row of value.rows || []) {
    const line = make('tr', row.method ? { 'data-method': row.method } : {});
    row.cells.forEach((text, i) => {
      const cell = make(i ? 'td' : 'th', i ? { class: columns[i].number ? 'number' : '' } : { scope: 'row' }, i || !row.method ? text : null);
      if (!i && row.method) cell.append(make('span', { class: 'swatch', 'aria-hidden': 'true' }), document.createTextNode(text));
      line.append(cell);
    });
    tbody.append(line);
  }
  table.replaceChildren(...parts, thead, tbody);
}
watch('value', draw);
draw();
