// Small plots in SVG, made element by element. Knows numbers, and nothing of what they mean.

const SVG = 'http://www.w3.org/2000/svg';
/** The plot's own units: a column for each value, and as many as two minutes have at least. */
const FEWEST_COLUMNS = 24;
const HEIGHT = 100;

export function svg(name, attributes, children = []) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Draws series into `holder`; the newest point is at the right.
 * `layers` are `{ values, kind }`: `area` and `failed` are filled from the ground, `line` breaks where a value is null.
 */
export function plot(holder, layers, label, mostText) {
  const most = Math.max(...layers.flatMap(({ values }) => values.map((value) => value ?? 0)), 0);
  const columns = Math.max(FEWEST_COLUMNS, ...layers.map(({ values }) => values.length));
  const shapes = layers.flatMap(({ values, kind }) => shape(values, kind, most || 1, columns));
  const picture = svg('svg', {
    viewBox: `0 0 ${columns} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label,
  }, shapes);
  const text = document.createElement('span');
  text.className = 'most';
  text.textContent = most > 0 ? mostText(most) : '';
  text.setAttribute('aria-hidden', 'true');
  holder.replaceChildren(picture, text);
}

function shape(values, kind, most, columns) {
  const at = (n) => columns - values.length + n + 1;
  const y = (value) => (HEIGHT - (HEIGHT - 14) * (value / most)).toFixed(1);
  if (kind === 'line') return runs(values).flatMap(([from, to]) => line(values.slice(from, to), at(from), y));
  if (!values.some((value) => value > 0)) return [];
  const points = values.map((value, n) => `L${at(n)} ${y(value ?? 0)}`).join('');
  const area = svg('path', { class: kind, d: `M${at(0)} ${HEIGHT}${points}L${at(values.length - 1)} ${HEIGHT}Z` });
  return kind === 'area' ? [area, ...line(values, at(0), y)] : [area];
}

function line(values, from, y) {
  // A lone point is a short dash, or it would not be seen.
  const points = values.length > 1 ? values : [values[0], values[0]];
  const d = points.map((value, n) => `${n ? 'L' : 'M'}${from + n} ${y(value ?? 0)}`).join('');
  return [svg('path', { class: 'line', d })];
}

/** Where values are without a gap: pairs of first and one past the last. */
function runs(values) {
  const found = [];
  values.forEach((value, n) => {
    if (value === null) return;
    const last = found.at(-1);
    if (last && last[1] === n) last[1] = n + 1;
    else found.push([n, n + 1]);
  });
  return found;
}

/** Draws parts `[class, share]` of a whole side by side. */
export function stack(holder, parts, label) {
  let x = 0;
  const rects = parts.map(([kind, share]) => {
    const rect = svg('rect', { class: kind, x: (100 * x).toFixed(2), y: 0, width: (100 * share).toFixed(2), height: 10 });
    x += share;
    return rect;
  });
  const picture = svg('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, rects);
  holder.replaceChildren(picture);
}
