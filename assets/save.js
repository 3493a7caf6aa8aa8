// Hands a text to the browser as a file: {"stamp", "name", "text", "mime"}. Each stamp is saved once.
let saved = null;
watch('value', () => {
  const value = props.value || {};
  if (!value.stamp || value.stamp === saved) return;
  saved = value.stamp;
  const url = URL.createObjectURL(new Blob([value.text], { type: value.mime }));
  make('a', { href: url, download: value.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
});
