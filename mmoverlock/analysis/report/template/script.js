'use strict';

// Light or dark: as the system has it, until the button is pressed.
const root = document.documentElement;
const themeButton = document.getElementById('theme');
const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : systemIsDark.matches);
const nameTheme = () => { themeButton.textContent = isDark() ? 'Light mode' : 'Dark mode'; };
themeButton.addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  nameTheme();
});
systemIsDark.addEventListener('change', nameTheme);
themeButton.hidden = false;
nameTheme();

// Tables: a click on a header sorts, the second one the other way round. Cells without a value come last.
const collator = new Intl.Collator(undefined, { numeric: true });

function sortKey(cell) {
  if ('none' in cell.dataset) return null;
  return 'value' in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
}

function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

function sortTable(header) {
  const table = header.closest('table');
  const direction = header.ariaSort === 'ascending' ? -1 : 1;
  const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[header.cellIndex]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * compare(a, b);
  });
  for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
  header.ariaSort = direction === 1 ? 'ascending' : 'descending';
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const header of document.querySelectorAll('thead th')) {
  header.firstElementChild.addEventListener('click', () => sortTable(header));
}

// Long tables: only the rows that hold the text of the field.
for (const filter of document.querySelectorAll('.filter')) {
  const rows = [...filter.parentElement.querySelectorAll('tbody tr')];
  const field = filter.querySelector('input');
  const count = filter.querySelector('output');
  const show = () => {
    const text = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text);
    const left = rows.filter((row) => !row.hidden).length;
    count.textContent = text ? `${left} of ${rows.length} rows` : `${rows.length} rows`;
  };
  field.addEventListener('input', show);
  filter.hidden = false;
  show();
}

// A picture opens as large as the window; a click there shows it at its own size.
const viewer = document.getElementById('viewer');
const stage = viewer.querySelector('.stage');
for (const button of document.querySelectorAll('.picture')) {
  button.addEventListener('click', () => {
    const small = button.querySelector('img');
    const picture = small.cloneNode();
    picture.style.setProperty('--natural', `${small.naturalWidth}px`);
    stage.replaceChildren(picture);
    stage.classList.remove('zoomed');
    viewer.querySelector('p').textContent = picture.alt;
    viewer.showModal();
  });
}
stage.addEventListener('click', () => stage.classList.toggle('zoomed'));

// The contents show which section is being read.
const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    links.get(target.id).ariaCurrent = isIntersecting ? 'true' : null;
  }
}, { rootMargin: '-20% 0px -79% 0px' });
for (const section of document.querySelectorAll('main section')) observer.observe(section);
