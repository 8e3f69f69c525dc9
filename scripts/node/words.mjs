// Holds what the status page says to what it is told. Run by check-pages, with openapi-admin.yaml as JSON.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const source = readFileSync('src/http/admin/pages/words.js', 'utf8');
const words = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const example = JSON.parse(readFileSync(process.argv[2])).components.examples.status.value;
const many = { recent: 3, total: 9 };

/** These counts, of which none is recent. */
const none = (counts) => Object.fromEntries(Object.entries(counts).map(([name, { total }]) => [name, { recent: 0, total }]));

/** What is said of the example after a change. */
function said(change) {
  const report = structuredClone(example);
  change(report, report.regions[0]);
  const { level, sentence, notes } = words.judge(report);
  return [level, sentence, ...notes];
}

const cases = [
  [() => {}, 'good', 'Serving. Region my is passing.'],
  [(all, my) => all.regions.push(my), 'good', 'Serving. All 2 regions are passing.'],
  [(all, my) => Object.values(my.requests).forEach((count) => { count.recent = 0; }), 'good', 'Serving. No region was asked in the last 15 min.'],
  [(all, my) => all.regions.push({ ...my, requests: none(my.requests) }), 'good', 'Serving. 1 of 2 regions were asked in the last 15 min, and none of them fails.'],
  [(all) => { all.stage = 'starting'; }, 'look', 'Starting: not ready for traffic yet. Region my is passing.'],
  [(all) => { all.stage = 'draining'; }, 'look', 'Draining: finishes what is under way, then stops. Region my is passing.'],
  [(all, my) => { my.breaker = { state: 'tripped', forSeconds: 130 }; }, 'bad',
    'Serving. Region my is tripped, not passing for 2 min: its callers get 503, or a stale result.'],
  [(all, my) => { my.breaker = { state: 'probing', forSeconds: 902 }; }, 'bad',
    'Serving. Region my is probing, not passing for over 15 min: its callers get 503, or a stale result.'],
  [(all, my) => { all.uptimeSeconds = 902; my.breaker = { state: 'tripped', forSeconds: 902 }; }, 'bad',
    'Serving. Region my is tripped, not passing since the start: its callers get 503, or a stale result.'],
  [(all, my) => { my.requests.error.recent = 48; }, 'look', 'Serving. 25.0 % of the calls to my in the last 15 min failed.'],
  [(all) => { all.answers.byClass['5xx'].recent = 105; }, 'look', 'Serving. 8.1 % of the answers in the last 15 min were 5xx.'],
  // The worst region comes first.
  [(all, my) => { my.requests.error.recent = 48; all.regions.push({ ...structuredClone(my), name: 'ph' }); all.regions[1].requests.error.recent = 144; },
    'look', 'Serving. 50.0 % of the calls to ph in the last 15 min failed.', '25.0 % of the calls to my in the last 15 min failed.'],
  [(all, my) => { my.token.refreshFailed = many; }, 'look', 'Serving. Region my refused a new token 3 times.'],
  [(all, my) => { my.token = { ...my.token, expiresInSeconds: null, refreshFailed: many }; }, 'bad', 'Serving. Region my gives no token.'],
  [(all, my) => { my.drift.id_mismatch = { recent: 1, total: 1 }; }, 'bad',
    'Serving. Region my answered once for another id; those answers were thrown away.'],
  [(all, my) => { my.drift.unknown_field = many; }, 'look', 'Serving. Region my departs from its contract: 3 × unknown field.'],
  [(all, my) => { my.requests.account = many; }, 'bad', 'Serving. Region my refused the account 3 times: balance, quota, or disabled.'],
  [(all, my) => { my.requests.auth = many; }, 'bad', "Serving. Region my refused the gateway's keys 3 times."],
  [(all, my) => { my.clockSkewSeconds = -45; }, 'look', 'Serving. The clock of region my is -45 s off ours.'],
  [(all) => { all.panics = many; all.rateLimited = many; }, 'bad',
    'Serving. The gateway panicked 3 times, which is a defect of its own.', "3 requests were over the caller's rate."],
  [(all) => { all.panics = { recent: 0, total: 9 }; }, 'good', 'Serving. Region my is passing.', 'The gateway has panicked 9 times since the start.'],
  [(all, my) => { my.drift.conflict = many; }, 'look', 'Serving. Region my departs from its contract: 3 × conflict.'],
  [(all, my) => { all.regions.push({ ...my, name: 'ph', drift: { ...my.drift, conflict: { recent: 1, total: 1 } } }); }, 'look',
    'Serving. Region ph and another both know an id, or an answer of ph contradicts itself: 1 × conflict.'],
  [(all) => { all.lookups.stale = all.rateLimited = all.cache.evictions.size = { recent: 1, total: 1 }; }, 'good', 'Serving. Region my is passing.',
    '1 lookup was answered with a stale result.', "1 request was over the caller's rate.", '1 entry was evicted because the cache is full.'],
];
for (const [change, ...expected] of cases) assert.deepEqual(said(change), expected);

/** What heads the card of a region in this state. */
function standing(state, token) {
  const region = { ...example.regions[0], breaker: { state, forSeconds: 130 } };
  const { level, text } = words.standing({ ...region, token: { ...region.token, ...token } }, example);
  return `${level}: ${text}`;
}

const noToken = { expiresInSeconds: null, refreshFailed: many };
assert.equal(standing('passing', {}), 'good: passing for 2 min');
assert.equal(standing('probing', {}), 'look: probing, not passing for 2 min');
assert.equal(standing('tripped', {}), 'bad: tripped, not passing for 2 min');
assert.equal(standing('passing', noToken), 'bad: gives no token');
assert.equal(standing('probing', noToken), 'bad: gives no token');
assert.equal(standing('tripped', noToken), 'bad: tripped, not passing for 2 min');
// Nobody has asked yet, or the one that is held still serves.
assert.equal(standing('passing', { expiresInSeconds: null }), 'good: passing for 2 min');
assert.equal(standing('passing', { refreshFailed: many }), 'good: passing for 2 min');

const idle = { ...example.regions[0], requests: none(example.regions[0].requests) };
assert.deepEqual(words.standing(idle, example), { level: 'idle', text: 'not asked in the last 15 min' });
const never = { ...idle, requests: { ok: { recent: 0, total: 0 } } };
assert.deepEqual(words.standing(never, example), { level: 'idle', text: 'not asked yet' });
assert.equal(words.standing({ ...never, token: { ...never.token, ...noToken } }, example).text, 'gives no token');

assert.equal(words.perMinute(451, example), 30);
assert.equal(words.perMinute(0, { windowSeconds: 0 }), null);
assert.deepEqual([0, 0.0004, 0.123, 0.9999, 1, null].map(words.percent), ['0 %', '< 0.1 %', '12.3 %', '99.9 %', '100 %', '–']);
assert.deepEqual([null, 0.04, 4.25, 310, 2500, 30000].map((value) => words.milliseconds(value, 0.1, 30000)),
  ['–', '≤ 0.1 ms', '4.3 ms', '310 ms', '2.5 s', '≥ 30 s']);
assert.deepEqual([-3, 59, 60, 3700, 90000].map(words.duration), ['0 s', '59 s', '1 min', '1 h 1 min', '1 d 1 h']);
console.log(`what the status page says of ${cases.length} reports, its cards and its numbers: as they should be`);
