// What every drawn form does with what is typed: it is the component's value, it survives a reload of this tab (under the name `kept`),
// and the server says what follows from it. `fits(kept)`: whether what was kept is such a form; `draw()` puts `typed.value` into the
// fields, `tell(reply)` what the server says. `typed.parts` are the fields by place, made by `typed.setting` and `typed.choice`.
function typedForm({ kept, fits, draw, tell }) {
  const typed = { value: structuredClone(props.value), parts: {} };
  let asking = false, again = false;
  typed.share = () => {
    props.value = structuredClone(typed.value);
    try {
      sessionStorage.setItem(kept, JSON.stringify(typed.value));
    } catch {} // a browser that keeps nothing
  };
  const restore = () => {
    try {
      const found = JSON.parse(sessionStorage.getItem(kept) || 'null');
      if (found && fits(found)) typed.value = { ...typed.value, ...found };
    } catch {}
  };
  typed.change = (write) => (raw) => {
    write(raw);
    typed.value.edit = (typed.value.edit || 0) + 1;
    delete typed.value.wrong;
    typed.share();
    typed.follow();
  };
  // Ask the server what follows; one question at a time, the last one counts. No answer: the network is away, ask again.
  typed.follow = async () => {
    draw();
    if (asking) return void (again = true);
    asking = true;
    do {
      again = false;
      const reply = await server.follow(typed.value);
      if (reply) again || tell(reply);
      else setTimeout(typed.follow, 2000);
    } while (again);
    asking = false;
  };
  typed.setting = (place, field, write) => (typed.parts[place] = settingField(field, typed.change(write))).node;
  typed.choice = (place, field, type, write) => (typed.parts[place] = choiceField(field, type, typed.change(write))).node;
  typed.tellParts = (problems, advice = {}) => {
    for (const place in typed.parts) if (typed.parts[place].tell) typed.parts[place].tell(problems[place], advice[place]);
  };
  typed.begin = () => {
    draw();
    setTimeout(() => { // Gradio sets the value once more while it mounts
      restore();
      typed.share();
      typed.follow();
    });
  };
  return typed;
}
const title = (text) => make('h3', {}, text);
