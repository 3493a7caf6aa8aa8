// The address of what is on the screen: value is "?run=ID,ID", "?sweep=ID", "?compare=ID", "?path=ID,ID" or "". It goes into the address bar and a field to copy from.
// What is shown later than at arrival takes the place of what any other link put there; every tab but Train's is first drawn when
// somebody has come to it from Calculate or another.
const KEYS = ['run', 'sweep', 'compare', 'path', 'tab', 'calc'], key = props.name || 'run';
const field = element.querySelector('input'), copy = element.querySelector('button');
let arrived = false;
function draw() {
  const url = new URL(window.location), shown = new URLSearchParams(props.value || '').get(key);
  for (const other of arrived ? KEYS : key === 'run' ? [] : ['calc']) url.searchParams.delete(other);
  arrived = true;
  shown ? url.searchParams.set(key, shown) : url.searchParams.delete(key);
  const text = url.href.replaceAll('%2C', ',');
  history.replaceState(history.state, '', text);
  for (const other of [...KEYS, '__theme']) if (other !== key) url.searchParams.delete(other); // light or dark is the reader's own
  field.value = shown ? url.href.replaceAll('%2C', ',') : '';
  copy.disabled = !shown;
}
copy.addEventListener('click', async () => {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand('copy'); // a page without https has no clipboard
  }
  copy.textContent = 'Copied';
  setTimeout(() => (copy.textContent = 'Copy'), 1500);
});
watch('value', draw); // not at once: until the server answered, the address bar is the one who knows
