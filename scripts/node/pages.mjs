// Opens the pages of the admin listener in a real Chromium and looks at them as a person would. Run by check-pages.

import { createRequire } from 'node:module';
import { readFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';

const [tools, work, publicPort, adminPort, sandboxPort, gatewayPid, pictures] = process.argv.slice(2);
const { chromium } = createRequire(path.resolve(tools, 'any.js'))('playwright-core');
const read = (name) => JSON.parse(readFileSync(path.join(work, name)));
const admin = `http://127.0.0.1:${adminPort}`;
const PATIENCE = 30_000;

/** Every request that a page made, and whatever a browser complained of. */
const requests = [];
const complaints = [];
let quiet = false;

function check(isSo, what) {
  if (!isSo) throw new Error(`not so: ${what}`);
  console.log(`  ${what}`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks for ids of all kinds, a few a second, and for many of one region's while it is to trip. */
function traffic() {
  const kinds = ['pass', 'pass', 'pass', 'pass', 'fail-liveness', 'fail-blur', 'pending-20', 'incomplete', 'notfound'];
  const state = { over: false, regions: ['my', 'my', 'ph', 'id'], perSecond: 14 };
  const known = [];
  let n = 0;
  const ask = async () => {
    n += 1;
    const region = state.regions[n % state.regions.length];
    if (known.length > 400) known.shift();
    const isNew = known.length < 8 || Math.random() < 0.3;
    const id = isNew ? `sim-${kinds[n % kinds.length]}-${n}` : known[Math.floor(Math.random() * known.length)].id;
    const where = isNew ? region : known.find((one) => one.id === id).region;
    if (isNew) known.push({ id, region });
    const answer = await fetch(`http://127.0.0.1:${publicPort}/idv/${id}?region=${where}`).catch(() => null);
    await answer?.arrayBuffer();
  };
  const feed = async () => {
    while (!state.over) {
      ask();
      // More at some times than at others, as it is.
      const tide = 1 + 0.5 * Math.sin(Date.now() / 90_000);
      await pause((2 * Math.random() * 1000) / (state.perSecond * tide));
    }
  };
  return { state, done: feed() };
}

async function faults(rules) {
  const answer = await fetch(`http://127.0.0.1:${sandboxPort}/_sandbox/faults`, { method: 'PUT', body: JSON.stringify(rules) });
  check(answer.status === 204, `the sandbox takes ${rules.length} faults`);
}

async function open(browser, { width, scheme }, where) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, locale: 'en-GB', permissions: ['clipboard-read', 'clipboard-write'] });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => complaints.push(`${where}: ${error}`));
  page.on('console', (message) => {
    if (!quiet && ['error', 'warning'].includes(message.type())) complaints.push(`${where}: ${message.text()}`);
  });
  await page.goto(admin + where);
  return page;
}

const text = (page, selector) => page.locator(selector).first().innerText();
const comesToSay = (page, selector, words) =>
  page.waitForFunction(([at, wanted]) => document.querySelector(at)?.textContent.includes(wanted), [selector, words]);

/** Texts that cannot be told from their ground: WCAG's ratio for small text is 4.5. */
function faintTexts() {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || ['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE'].includes(element.tagName)) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.add(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return [...faint];
}

/** Words in code that a line ends within. Between the parts of a pattern or a path it may. */
function brokenWords() {
  const words = [...document.querySelectorAll('td code')].flatMap((code) => [...code.childNodes]).filter((node) => /^[\w.]+$/.test(node.data));
  const lines = (node) => {
    const range = document.createRange();
    range.selectNode(node);
    return range.getClientRects().length;
  };
  return words.filter((node) => lines(node) > 1).map((node) => node.data);
}

/** Texts of which a part is cut off. */
function clippedTexts() {
  const hides = (element) => getComputedStyle(element).overflowX === 'hidden' && element.scrollWidth > element.clientWidth;
  return [...document.querySelectorAll('main *')].filter(hides).map((element) => element.textContent.trim());
}

/** Parts of a bar or its legend that have no colour of their own. */
function colourless() {
  const black = (rect) => getComputedStyle(rect).fill === 'rgb(0, 0, 0)';
  return [...document.querySelectorAll('main rect')].filter(black).map((rect) => rect.getAttribute('class'));
}

/** Cards that stand alone in the last row of several. */
function loneCards() {
  const tops = [...document.querySelectorAll('.tile')].map((tile) => tile.offsetTop);
  const inRow = (top) => tops.filter((other) => other === top).length;
  return tops.filter((top) => inRow(top) !== inRow(tops[0])).length;
}

async function looksRight(page, where, width, scheme) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check(wide <= width, `${where} at ${width} px does not scroll sideways (${wide})`);
  const tallest = await page.evaluate(() => Math.max(0, ...[...document.querySelectorAll('.plot')].map((plot) => plot.offsetHeight)));
  check(tallest < 140, `${where} at ${width} px has plots of ${tallest} px at most`);
  const broken = await page.evaluate(brokenWords);
  check(broken.length === 0, `${where} at ${width} px breaks no word in a cell ${broken.join(' ')}`);
  const clipped = await page.evaluate(clippedTexts);
  check(clipped.length === 0, `${where} at ${width} px clips no word ${clipped.join(' | ')}`);
  const black = await page.evaluate(colourless);
  check(black.length === 0, `${where} at ${width} px gives every part of a bar a colour ${black.join(' ')}`);
  const lone = await page.evaluate(loneCards);
  check(lone === 0, `${where} at ${width} px has as many cards in each row`);
  const faint = await page.evaluate(faintTexts);
  check(faint.length === 0, `${where} ${scheme}: every text stands out from its ground ${faint.join(' | ')}`);
  const violations = await page.evaluate(() => window.violations);
  check(violations.length === 0, `${where}: nothing broke the policy ${violations.join(' | ')}`);
}

async function showsItself(browser) {
  console.log('the status page, as it is opened and left alone');
  const page = await open(browser, { width: 1400, scheme: 'light' }, '/');
  await comesToSay(page, '#sentence', 'Serving.');
  await page.evaluate(() => {
    window.shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shift += entry.value; })).observe({ type: 'layout-shift' });
  });
  const before = await text(page, '#requests-fine');
  await page.waitForFunction((old) => document.querySelector('#requests-fine').textContent !== old, before);
  check(true, `it renews itself: ${before} became ${await text(page, '#requests-fine')}`);
  await page.locator('#requests-plot path.line').waitFor({ state: 'attached' });
  await page.locator('.region').first().locator('[data-id=p95-plot] path').first().waitFor({ state: 'attached' });
  const names = await page.locator('.region h3').allInnerTexts();
  check(names.join() === 'my (sandbox),ph (sandbox),id (sandbox)', `a card for each region: ${names}`);
  const shift = await page.evaluate(() => window.shift);
  check(shift < 0.02, `nothing moved on the page (${shift})`);
  return page;
}

async function agreesWithMetrics(page) {
  console.log('its figures and those of /metrics');
  const report = await (await fetch(`${admin}/status`)).json();
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  const sum = (pattern) => [...metrics.matchAll(pattern)].reduce((all, [, value]) => all + Number(value), 0);
  const all = Object.values(report.answers.byClass).reduce((total, count) => total + count.total, 0);
  const later = sum(/^idv_http_requests_total\{.*\} (\d+)$/gm);
  check(all > 0 && later >= all && later - all < 60, `answers: ${all} on the page, ${later} a moment later in /metrics`);
  check(!(await page.content()).includes('sim-') && !JSON.stringify(report).includes('sim-'), 'no id is on it');
}

async function showsATrippedRegion(page, { state }) {
  console.log('a region that trips');
  await faults([{ region: 'ph', endpoint: 'get_result', fault: { status: 500 } }]);
  const calm = { ...state };
  Object.assign(state, { regions: ['ph', 'ph', 'ph', 'my'], perSecond: 40 });
  await page.locator('.region[data-level=bad], .region[data-level=look]').waitFor();
  const word = await text(page, '.region:nth-child(2) .standing');
  check(/tripped|probing/.test(word), `its card says so in words: ${word}`);
  check(/Region ph is (tripped|probing)/.test(await text(page, '#sentence')), `and so does the sentence: ${await text(page, '#sentence')}`);
  check((await page.locator('#overall').getAttribute('data-level')) === 'bad', 'it is said to be bad');
  await page.screenshot({ path: path.join(work, 'tripped.png') });
  await looksRight(page, 'tripped', 1400, 'light');
  await faults([]);
  Object.assign(state, calm);
  await page.locator('.region:nth-child(2)[data-level=good]').waitFor();
  check(true, 'and it passes again');
}

async function restsWhileHidden(page) {
  console.log('a tab that nobody sees');
  const hide = (hidden) => page.evaluate((is) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await pause(500);
  const asked = requests.length;
  await pause(7000);
  check(requests.length === asked, 'asks nothing');
  await hide(false);
  await page.waitForResponse(`${admin}/status`);
  check(true, 'and asks at once when it is seen again');
}

async function saysThatNobodyAnswers(page) {
  console.log('a gateway that does not answer');
  process.kill(Number(gatewayPid), 'SIGSTOP');
  await comesToSay(page, '#sentence', 'No answer since');
  check(await page.locator('#numbers.old').isVisible(), `old numbers look old: ${await text(page, '#sentence')}`);
  await looksRight(page, 'no answer', 1400, 'light');
  await page.screenshot({ path: path.join(work, 'lost.png') });
  process.kill(Number(gatewayPid), 'SIGCONT');
  await comesToSay(page, '#sentence', 'Serving.');
  check((await page.locator('#numbers.old').count()) === 0, 'and it is as before when the gateway is back');
}

async function everySize(browser, where, ready) {
  console.log(`${where} on a phone and on a desk, light and dark`);
  for (const scheme of ['light', 'dark']) {
    for (const width of [360, 390, 1000, 1280]) {
      const page = await open(browser, { width, scheme }, where);
      await ready(page);
      await looksRight(page, where, width, scheme);
      await page.screenshot({ path: path.join(work, `${where.slice(1).replace('/', '-') || 'status'}-${width}-${scheme}.png`), fullPage: where === '/' });
      await page.context().close();
    }
  }
}

/** Everything of a document is on its page, the page can be searched, and its samples can be copied. */
async function theReference(browser, where, contract) {
  console.log(`the reference at ${where}`);
  const page = await open(browser, { width: 1400, scheme: 'light' }, where);
  const ids = new Set(await page.evaluate(() => [...document.querySelectorAll('[id]')].map((element) => element.id)));
  const operations = Object.entries(contract.paths).flatMap(([at, item]) =>
    ['get', 'head', 'delete', 'post', 'put', 'patch'].filter((method) => item[method]).map((method) => [method, at, item[method]]));
  for (const [method, at, { operationId, responses }] of operations) {
    const said = await page.locator(`#${operationId}`).innerText();
    const statuses = Object.keys(responses).filter((status) => !said.includes(status));
    if (!said.includes(at) || !said.toUpperCase().includes(method.toUpperCase()) || statuses.length) {
      throw new Error(`${method} ${at} is not whole in ${where}: ${statuses}`);
    }
  }
  check(operations.length > 2, `all ${operations.length} operations are there, with every status`);
  const codes = Object.keys(contract.components.examples).filter((name) => contract.components.examples[name].value.code === name);
  const missing = codes.filter((code) => !ids.has(`problem-${code}`));
  check(codes.length > 3 && missing.length === 0, `all ${codes.length} problem codes are there ${missing}`);
  const shapes = Object.keys(contract.components.schemas).filter((name) => !ids.has(`schema-${name}`));
  check(shapes.length === 0, `and every schema ${shapes}`);
  const dead = await page.evaluate(() => [...document.querySelectorAll('a[href^="#"]')].map((a) => a.hash.slice(1)).filter((id) => !document.getElementById(id)));
  check(dead.length === 0, `every link within the page leads somewhere ${dead}`);
  const underlined = await page.evaluate(() => [...document.querySelectorAll('main a code')].filter((code) => getComputedStyle(code.parentElement).textDecorationLine !== 'none').length);
  check(underlined === 0, 'no link underlines a code word, where it would hide underscores');
  await page.locator('#search').fill('route_not_found');
  const found = await page.locator('main article:visible h3').allInnerTexts();
  check(found.some((title) => title.includes('route_not_found')) && found.length < codes.length, `a search finds a problem code among ${found.length} parts`);
  await page.locator('#search').fill('');
  await page.locator('.frame:visible .copy').first().click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  check(copied === await page.locator('.frame:visible pre').first().innerText(), 'and a sample can be copied');
  await page.context().close();
}

/** Some minutes of traffic, during which one region fails for a while. */
async function haveAHistory(seconds) {
  console.log(`feeding the gateway for ${seconds} s before its picture is taken`);
  await pause(600 * seconds);
  await faults([{ region: 'ph', endpoint: 'get_result', fault: { status: 500 } }]);
  await pause(100 * seconds);
  await faults([]);
  await pause(300 * seconds);
}

async function takePictures(browser) {
  mkdirSync('docs/images', { recursive: true });
  for (const scheme of ['light', 'dark']) {
    const page = await open(browser, { width: 1280, scheme }, '/');
    await comesToSay(page, '#sentence', 'Serving.');
    await page.screenshot({ path: `docs/images/status-${scheme}.png`, fullPage: true });
    await page.context().close();
  }
}

const load = traffic();
if (pictures) await haveAHistory(Number(pictures));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  if (pictures) await takePictures(browser);
  const page = await showsItself(browser);
  await agreesWithMetrics(page);
  await everySize(browser, '/', (one) => comesToSay(one, '#sentence', 'Serving.'));
  await showsATrippedRegion(page, load);
  await restsWhileHidden(page);
  await saysThatNobodyAnswers(page);
  for (const [where, document] of [['/docs', 'openapi.json'], ['/docs/admin', 'openapi-admin.json']]) {
    await theReference(browser, where, read(document));
    await everySize(browser, where, (one) => one.locator('#problems').waitFor());
  }
  const away = requests.filter((url) => !url.startsWith(`${admin}/`) && !url.startsWith('data:'));
  check(requests.length > 40 && away.length === 0, `none of ${requests.length} requests went anywhere but to the gateway ${away}`);
  check(complaints.length === 0, `the browser complained of nothing ${complaints.join('\n')}`);
  quiet = true;
  process.kill(Number(gatewayPid), 'SIGKILL');
  await comesToSay(page, '#sentence', 'No answer since');
  check(true, 'a gateway that is gone is said to be');
} finally {
  load.state.over = true;
  await browser.close();
}
