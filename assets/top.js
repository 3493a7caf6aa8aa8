// The page's head: what runs here and how busy it is, asked every three seconds, and the switch between light and dark.
const line = element.querySelector('#machine');
async function look() {
  if (!document.hidden) {
    const text = await server.machine(null);
    if (text && text !== line.textContent) line.textContent = text;
  }
  if (element.isConnected) setTimeout(look, 3000);
}
line.textContent = props.value;
element.querySelector('#theme').addEventListener('click', () => {
  const dark = document.body.classList.toggle('dark'), url = new URL(window.location);
  url.searchParams.set('__theme', dark ? 'dark' : 'light');
  history.replaceState(history.state, '', url.href.replaceAll('%2C', ','));
});
setTimeout(look, 3000);

// A link to a calculation, a sweep, a comparison, a path or a tab by its name opens that tab, as soon as the tabs are there.
const openTab = (name, tries) => {
  const tab = [...document.querySelectorAll('[role=tab], .overflow-dropdown button')].find((t) => t.textContent.trim() === name);
  if (tab) tab.click();
  else if (tries) setTimeout(() => openTab(name, tries - 1), 50);
};
const asked = new URLSearchParams(window.location.search);
const wanted = asked.has('calc') ? 'Calculate' : asked.has('sweep') ? 'Sweep' : asked.has('compare') ? 'Compare' : asked.has('path') ? 'Align' : asked.get('tab');
if (wanted) openTab(wanted, 200);
