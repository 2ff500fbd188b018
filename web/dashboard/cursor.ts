/**
 * Says the value of each chart at the moment that a slider, or the pointer over a chart, chooses. The server draws the charts
 * anew from time to time; who chose no moment sees the newest values.
 */
const area = document.getElementById('past');
const slider = document.querySelector<HTMLInputElement>('#cursor');

function place(): number {
  return Number(slider?.value ?? 0);
}

function show(): void {
  const charts = document.getElementById('charts');
  if (!area || !slider || !charts) return;
  const newest = place() === Number(slider.max);
  const at = new Date(Number(charts.dataset.began) + place() * Number(charts.dataset.step));
  const moment = newest ? 'now' : `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  area.style.setProperty('--at', String(place() / Number(slider.max)));
  area.classList.toggle('chosen', !newest);
  const said = [moment];
  const label = document.getElementById('moment');
  if (label) label.textContent = moment;
  for (const chart of charts.querySelectorAll<HTMLElement>('.chart')) {
    const texts = (chart.dataset.texts ?? '').split('|');
    const output = chart.querySelector('output');
    if (!output) continue;
    if (!newest) output.textContent = texts[place()] ?? '–';
    else output.textContent = texts.reverse().find((text) => text !== '–') ?? '–';
    said.push(`${chart.querySelector('figcaption')?.firstChild?.textContent?.trim()}: ${output.textContent}`);
  }
  slider.setAttribute('aria-valuetext', said.join(', '));
}

slider?.addEventListener('input', show);
area?.addEventListener('pointermove', (event) => {
  const drawing = event.target instanceof Element ? event.target.closest('svg') : null;
  if (!drawing || !slider) return;
  const { left, width } = drawing.getBoundingClientRect();
  slider.value = String(Math.round(((event.clientX - left) / width) * Number(slider.max)));
  show();
});
document.addEventListener('htmx:sse:after:message', () => requestAnimationFrame(show));
document.getElementById('choose')?.removeAttribute('hidden');
show();
