// Search and copy buttons of the reference pages. Without scripts the pages show everything.

const search = document.getElementById('search');
const articles = [...document.querySelectorAll('main article')];
const sections = [...document.querySelectorAll('main > section')];
const links = [...document.querySelectorAll('.side li')];

/** Shows the articles whose titles contain every word; if there are none, everything that contains every word. */
function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const contains = (element) => words.every((word) => element.textContent.toLowerCase().includes(word));
  const titled = words.length ? articles.filter((article) => contains(article.querySelector('h3'))) : [];
  const found = titled.length ? titled : articles.filter(contains);
  for (const article of articles) article.hidden = !found.includes(article);
  for (const section of sections) {
    const inside = articles.filter((article) => section.contains(article));
    section.hidden = inside.length ? inside.every((article) => article.hidden) : titled.length > 0 || !contains(section);
  }
  for (const link of links) {
    link.hidden = Boolean(document.getElementById(link.firstElementChild.hash.slice(1))?.closest('[hidden]'));
  }
}

/** Copies without the clipboard API too: browsers offer that only over https or on the machine itself. */
async function copy(pre) {
  if (navigator.clipboard) return navigator.clipboard.writeText(pre.textContent);
  getSelection().selectAllChildren(pre);
  document.execCommand('copy');
  getSelection().removeAllRanges();
}

search.hidden = false;
search.addEventListener('input', find);
for (const pre of document.querySelectorAll('pre')) {
  const button = Object.assign(document.createElement('button'), { type: 'button', className: 'copy', textContent: 'Copy' });
  button.addEventListener('click', async () => {
    await copy(pre);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  const frame = Object.assign(document.createElement('div'), { className: 'frame' });
  pre.replaceWith(frame);
  frame.append(pre, button);
}
