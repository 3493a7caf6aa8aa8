// A table from JSON. Numbers are right-aligned, and units stand in the header.
function draw() {
  const value = props.value || {};
  element.querySelector('.lab-scroll').setAttribute('aria-label', value.caption || 'table');
  fillTable(element.querySelector('table'), value);
}
watch('value', draw);
draw();
