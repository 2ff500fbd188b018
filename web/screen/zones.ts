/** The list of zones on /screen/: it follows what is typed, and / puts the cursor there. */
const find = document.querySelector<HTMLInputElement>('#find');
const rows = [...document.querySelectorAll<HTMLTableRowElement>('#zones tbody tr')];
const found = document.querySelector('#found');
const all = found?.textContent ?? '';

find?.addEventListener('input', () => {
  const words = find.value.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const name = row.textContent.toLowerCase();
    row.hidden = words.some((word) => !name.includes(word));
  }
  const shown = rows.filter(({ hidden }) => !hidden).length;
  if (found) found.textContent = shown < rows.length ? `${shown} of ${rows.length}` : all;
});

addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || document.activeElement === find) return;
  event.preventDefault();
  find?.select();
});

export {};
