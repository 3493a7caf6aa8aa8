// What is happening, in sentences. The region is read out when it changes, so it is only touched when it did.
const lines = element.querySelector('.lab-lines'), bar = element.querySelector('progress');
let shown = null;
function draw() {
  const value = props.value || {}, text = (value.lines || []).join('\n');
  element.firstElementChild.dataset.tone = value.tone || '';
  if (text !== shown) {
    shown = text;
    lines.replaceChildren(...(value.lines || []).map((line) => make('p', {}, line)));
  }
  bar.hidden = value.done == null;
  if (value.done != null) bar.value = value.done;
}
watch('value', draw);
draw();
