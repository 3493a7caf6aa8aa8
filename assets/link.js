// The address of what is on the screen: value is "?run=ID,ID" or "". It goes into the address bar and a field to copy from.
const field = element.querySelector('input'), copy = element.querySelector('button');
function draw() {
  const url = new URL(window.location), runs = new URLSearchParams(props.value || '').get('run');
  runs ? url.searchParams.set('run', runs) : url.searchParams.delete('run');
  const text = url.href.replaceAll('%2C', ',');
  history.replaceState(history.state, '', text);
  url.searchParams.delete('__theme'); // light or dark is the reader's own
  field.value = runs ? url.href.replaceAll('%2C', ',') : '';
  copy.disabled = !runs;
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
