// The status page: asks for /status every few seconds and shows it. Text goes in as text, never as markup.

import { plot, stack, svg } from './plot.js';
import * as words from './words.js';

const EVERY_MS = 5000;
const PATIENCE_MS = 4000;
/** Bounds of the histograms that quantiles are estimated from, in milliseconds: first and last. */
const OURS = [0.1, 31000];
const THEIRS = [5, 16000];

const at = (id) => document.getElementById(id);
const { number, percent, duration } = words;

let timer = null;
/** When the last answer came: by the clock on the wall, and by one that is never set. */
let last = null;
let lost = false;

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch('/status', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const report = await answer.json();
    last = { wall: new Date(), ticks: performance.now() };
    lost = false;
    show(report);
  } catch {
    lost = true;
  }
  showAge();
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, EVERY_MS);
}

/** How old the numbers are, and whether anybody still answers. */
function showAge() {
  const age = last && (performance.now() - last.ticks) / 1000;
  at('numbers').classList.toggle('old', lost);
  if (last) say(at('updated'), `As of ${clock(last.wall)}, ${duration(age)} ago.`);
  if (!lost) return;
  at('overall').dataset.level = 'lost';
  say(at('sentence'), last ? `No answer since ${clock(last.wall)}.` : 'No answer from the gateway.');
  notes(last ? ['The numbers below are from then. The gateway, or the way to it, may be down.'] : ['Is it running?']);
  document.title = 'no answer – idv-gateway';
}

const clock = (date) => date.toLocaleTimeString('en-GB');

function show(report) {
  const { level, sentence, notes: worth } = words.judge(report);
  at('overall').dataset.level = level;
  say(at('sentence'), sentence);
  notes(worth.length ? worth : ['Nothing else is out of the ordinary.']);
  say(at('build'), `Version ${report.build.version}, revision ${report.build.revision}, up ${duration(report.uptimeSeconds)}.`);
  for (const element of document.querySelectorAll('[data-window]')) say(element, duration(report.windowSeconds));
  document.title = { good: 'idv-gateway', look: '▲ idv-gateway', bad: '✕ idv-gateway' }[level];
  showAnswers(report);
  showCache(report);
  showRegions(report);
  showResults(report);
}

function notes(texts) {
  const items = texts.map((text) => {
    const item = document.createElement('li');
    item.textContent = text;
    return item;
  });
  at('notes').replaceChildren(...items);
}

function showAnswers(report) {
  const { byClass, series } = report.answers;
  const step = 60 / report.stepSeconds;
  const recent = words.total(byClass, 'recent');
  say(at('requests'), number(words.perMinute(recent, report)));
  say(at('requests-fine'), `${words.counted(recent, 'answer', 'answers')}: ${Object.entries(byClass).map(([name, count]) => `${number(count.recent)} ${name}`).join(', ')}`);
  plot(at('requests-plot'), [{ values: series.requests, kind: 'area' }], 'Requests a minute', (most) => `${number(most * step)} a minute`);
  const failed = words.failedAnswers(report.answers);
  say(at('failed'), percent(failed));
  at('failed').classList.toggle('bad', failed > 0.01);
  say(at('failed-fine'), words.counted(byClass['5xx'].recent, 'answer', 'answers'));
  const shares = series.failed.map((failures, n) => words.share(failures, series.requests[n]));
  plot(at('failed-plot'), [{ values: shares, kind: 'failed' }], 'Share of answers that are 5xx', percent);
  say(at('p50'), words.milliseconds(report.answers.p50Ms, ...OURS));
  say(at('p99'), words.milliseconds(report.answers.p99Ms, ...OURS));
  plot(at('p99-plot'), [{ values: series.p99Ms, kind: 'line' }], '99th percentile of the time to answer', (most) => words.milliseconds(most, ...OURS));
}

function showCache(report) {
  const { lookups, cache } = report;
  const all = words.total(lookups, 'recent');
  const parts = Object.entries(lookups).map(([name, count]) => [name, words.share(count.recent, all) ?? 0]);
  say(at('hits'), percent(words.share(lookups.hit.recent, all)));
  stack(at('lookups-bar'), parts, parts.map(([name, part]) => `${name.replace('_', ' ')} ${percent(part)}`).join(', '));
  at('lookups').replaceChildren(...parts.map(([name]) => {
    const item = document.createElement('li');
    const key = svg('svg', { viewBox: '0 0 1 1', 'aria-hidden': 'true' }, [svg('rect', { class: name, width: 1, height: 1 })]);
    item.append(key, `${name.replace('_', ' ')} ${number(lookups[name].recent)}`);
    return item;
  }));
  const used = cache.bytes / cache.maxBytes;
  stack(at('cache-bar'), [['used', used]], `${percent(used)} of the cache is used`);
  say(at('cache'), `${words.counted(cache.entries, 'entry', 'entries')}, ${words.bytes(cache.bytes)} of ${words.bytes(cache.maxBytes)}; ${words.counted(report.fillsInFlight, 'fetch', 'fetches')} under way`);
  say(at('second-tier'), words.secondTier(report));
}

function showRegions(report) {
  const holder = at('regions');
  while (holder.children.length < report.regions.length) holder.append(at('region').content.cloneNode(true));
  while (holder.children.length > report.regions.length) holder.lastElementChild.remove();
  const simulated = report.regions.filter((region) => region.sandbox).length;
  say(at('regions-fine'), `Calls to ${simulated === report.regions.length ? 'the sandbox' : 'ADVANCE.AI'} for results; time includes the body`);
  report.regions.forEach((region, n) => showRegion(holder.children[n], region, report));
}

function showRegion(card, region, report) {
  const part = (id) => card.querySelector(`[data-id=${id}]`);
  const { series, requests, token } = region;
  const recent = words.total(requests, 'recent');
  const failed = words.failedShare(region);
  const { level, text } = words.standing(region, report);
  card.dataset.level = level;
  say(card.querySelector('h3'), region.sandbox ? `${region.name} (sandbox)` : region.name);
  say(card.querySelector('.standing span'), text);
  say(part('requests'), number(words.perMinute(recent, report)));
  say(part('p95'), words.milliseconds(region.p95Ms, ...THEIRS));
  const calls = [{ values: series.requests, kind: 'area' }, { values: series.failed, kind: 'failed' }];
  plot(part('requests-plot'), calls, `Calls to ${region.name} a minute, failed ones at the bottom`, (most) => `${number((most * 60) / report.stepSeconds)} a minute`);
  plot(part('p95-plot'), [{ values: series.p95Ms, kind: 'line' }], `95th percentile of the time calls to ${region.name} took`, (most) => words.milliseconds(most, ...THEIRS));
  say(part('failed'), percent(failed));
  part('failed').classList.toggle('bad', failed > 0.1);
  say(part('token'), token.expiresInSeconds === null ? 'none held' : duration(token.expiresInSeconds));
  part('token').classList.toggle('bad', words.givesNoToken(region));
  say(part('retries'), number(region.retries.recent));
  say(part('skew'), `${region.clockSkewSeconds < 0 ? '−' : '+'}${Math.abs(region.clockSkewSeconds).toFixed(1)} s`);
  const ended = Object.entries(requests).filter(([, count]) => count.recent).map(([name, count]) => `${name.replace('_', ' ')} ${number(count.recent)}`);
  say(part('outcomes'), ended.length ? `Ended: ${ended.join(', ')}` : `Not asked in the last ${duration(report.windowSeconds)}`);
}

function showResults(report) {
  const rows = new Map();
  for (const { status, reason, recent, total } of report.regions.flatMap((region) => region.results)) {
    const row = rows.get(`${status} ${reason}`) ?? { status, reason, recent: 0, total: 0 };
    rows.set(`${status} ${reason}`, { ...row, recent: row.recent + recent, total: row.total + total });
  }
  const sorted = [...rows.values()].sort((a, b) => b.recent - a.recent || b.total - a.total);
  const all = words.sum(sorted.map((row) => row.recent));
  const none = document.createElement('tr');
  none.append(cell('None yet.'));
  at('results').replaceChildren(...(sorted.length ? sorted.map((row) => resultRow(row, all)) : [none]));
}

function resultRow({ status, reason, recent, total }, all) {
  const code = document.createElement('code');
  // A narrow page may break a reason between its words, and nowhere else.
  const parts = reason === 'none' ? ['–'] : reason.split(/(?<=_)/);
  code.append(...parts.flatMap((part) => [part, document.createElement('wbr')]));
  const bar = cell('', 'share');
  stack(bar, [[status, words.share(recent, all) ?? 0]], percent(words.share(recent, all)));
  const row = document.createElement('tr');
  row.append(cell(status), cell(code), cell(number(recent), 'number'), cell(number(total), 'number'), bar);
  return row;
}

function cell(content, kind = '') {
  const element = document.createElement('td');
  if (kind) element.className = kind;
  element.append(content);
  return element;
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : refresh()));
setInterval(showAge, 1000);
refresh();
