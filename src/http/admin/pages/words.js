// What the numbers of /status mean, in words. Knows no element of the page.

/** How many a minute a count within the window is; null while there is no window yet. */
export const perMinute = (count, report) => (report.windowSeconds ? (count * 60) / report.windowSeconds : null);

/** The one window of every figure, in words. */
export const lately = (report) => `in the last ${duration(report.windowSeconds)}`;

/** The share of answers that were 5xx. */
export const failedAnswers = ({ byClass }) => share(byClass['5xx'].recent, total(byClass, 'recent'));

export const sum = (numbers) => numbers.reduce((total, number) => total + (number ?? 0), 0);
export const share = (part, whole) => (whole > 0 ? part / whole : null);
export const total = (counts, key) => sum(Object.values(counts).map((count) => count[key]));

/** Calls to a region that got no answer about their id. */
export function failedCalls(requests) {
  return Object.entries(requests).filter(([name]) => name !== 'ok' && name !== 'not_found');
}

/** The share of them. */
export function failedShare({ requests }) {
  return share(sum(failedCalls(requests).map(([, count]) => count.recent)), total(requests, 'recent'));
}

export const number = (value) => (value === null ? '–' : value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 }));

export const counted = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

export function percent(value) {
  if (value === null) return '–';
  if (value === 0 || value === 1) return `${100 * value} %`;
  if (value < 0.001) return '< 0.1 %';
  return `${Math.min(99.9, 100 * value).toFixed(1)} %`;
}

/** Milliseconds, no finer than the first bound of the histogram and no more than its last. */
export function milliseconds(value, finest, most) {
  if (value === null) return '–';
  if (value <= finest) return `≤ ${finest} ms`;
  if (value >= most) return `≥ ${most / 1000} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(0)} KiB`;
  return `${(value / 1024 / 1024).toFixed(value < 100 * 1024 * 1024 ? 1 : 0)} MiB`;
}

/** What a region's card is headed by: the worse of its breaker and its token. */
export function standing(region, report) {
  const { state } = region.breaker;
  if (givesNoToken(region) && state !== 'tripped') return { level: 'bad', text: 'gives no token' };
  if (state === 'passing' && !wasAsked(region)) {
    return { level: 'idle', text: total(region.requests, 'total') ? `not asked ${lately(report)}` : 'not asked yet' };
  }
  return { level: { passing: 'good', probing: 'look', tripped: 'bad' }[state], text: describe(region, report) };
}

const wasAsked = ({ requests }) => total(requests, 'recent') > 0;

export const givesNoToken = ({ token }) => token.refreshFailed.recent > 0 && token.expiresInSeconds === null;

/** A breaker's state and for how long it has been so, as far as the gateway remembers. */
function describe(region, report) {
  const { state, forSeconds } = region.breaker;
  const isAllThatIsKnown = forSeconds >= report.windowSeconds;
  const isSinceStart = isAllThatIsKnown && report.windowSeconds >= report.uptimeSeconds;
  const time = isSinceStart ? 'since the start' : `for ${isAllThatIsKnown ? 'over ' : ''}${duration(forSeconds)}`;
  return state === 'passing' ? `passing ${time}` : `${state}, not passing ${time}`;
}

/**
 * What is to be said of a report: a sentence, what else is worth a look, and how bad it is
 * (`good`, `look` at it, `bad`).
 */
export function judge(report) {
  // The worst region is named first.
  const regions = report.regions.toSorted((a, b) => failedShare(b) - failedShare(a));
  const troubles = [...gatewayTroubles(report), ...regions.flatMap((region) => regionTroubles(region, report))];
  const bad = troubles.filter(([level]) => level === 'bad').map(([, text]) => text);
  const look = troubles.filter(([level]) => level === 'look').map(([, text]) => text);
  const stages = {
    starting: 'Starting: not ready for traffic yet.',
    draining: 'Draining: finishes what is under way, then stops.',
    ready: 'Serving.',
  };
  const all = [...bad, ...look];
  const sentence = all.length ? all[0] : wellBeing(report);
  const rest = all.slice(1).concat(gatewayNotes(report));
  const level = bad.length ? 'bad' : look.length || report.stage !== 'ready' ? 'look' : 'good';
  return { level, sentence: `${stages[report.stage]} ${sentence}`, notes: rest };
}

function wellBeing(report) {
  const { regions } = report;
  const asked = regions.filter(wasAsked).length;
  if (asked === 0) return `No region was asked ${lately(report)}.`;
  if (asked < regions.length) return `${asked} of ${regions.length} regions were asked ${lately(report)}, and none of them fails.`;
  return regions.length === 1 ? `Region ${regions[0].name} is passing.` : `All ${regions.length} regions are passing.`;
}

function gatewayTroubles(report) {
  const troubles = [];
  if (report.panics.recent > 0) {
    troubles.push(['bad', `The gateway panicked ${times(report.panics.recent)}, which is a defect of its own.`]);
  }
  if (report.secondTier && !report.secondTier.connected) {
    troubles.push(['look', 'The second tier is away: this replica works alone.']);
  }
  const failed = failedAnswers(report.answers);
  if (failed > 0.01) troubles.push(['look', `${percent(failed)} of the answers ${lately(report)} were 5xx.`]);
  return troubles;
}

/** What replicas share, if they do. */
export function secondTier({ secondTier: tier }) {
  if (!tier) return '';
  const { ok, ...failures } = tier.requests;
  const failed = counted(total(failures, 'recent'), 'request', 'requests');
  return `Second tier ${tier.connected ? 'connected' : 'away: this replica works alone'}; ${failed} failed or skipped`;
}

/** Worth knowing, but no trouble of the gateway's. */
function gatewayNotes(report) {
  const notes = [];
  const { rateLimited, reloadsRefused, panics, lookups, cache } = report;
  if (lookups.stale.recent) notes.push(`${counted(lookups.stale.recent, 'lookup was', 'lookups were')} answered with a stale result.`);
  if (rateLimited.recent) notes.push(`${counted(rateLimited.recent, 'request was', 'requests were')} over the caller's rate.`);
  if (reloadsRefused.recent) notes.push('A watched file cannot be used; the log says which.');
  if (cache.evictions.size.recent) notes.push(`${counted(cache.evictions.size.recent, 'entry was', 'entries were')} evicted because the cache is full.`);
  if (panics.total && !panics.recent) notes.push(`The gateway has panicked ${times(panics.total)} since the start.`);
  return notes;
}

function regionTroubles(region, report) {
  const { name, breaker, requests, token, drift } = region;
  const troubles = [];
  const found = (level, text) => troubles.push([level, text]);
  if (breaker.state !== 'passing') {
    found('bad', `Region ${name} is ${describe(region, report)}: its callers get 503, or a stale result.`);
  }
  if (drift.id_mismatch.recent) found('bad', `Region ${name} answered ${times(drift.id_mismatch.recent)} for another id; those answers were thrown away.`);
  if (requests.account.recent) found('bad', `Region ${name} refused the account ${times(requests.account.recent)}: balance, quota, or disabled.`);
  if (requests.auth.recent) found('bad', `Region ${name} refused the gateway's keys ${times(requests.auth.recent)}.`);
  if (givesNoToken(region)) found('bad', `Region ${name} gives no token.`);
  else if (token.refreshFailed.recent) found('look', `Region ${name} refused a new token ${times(token.refreshFailed.recent)}.`);
  const failed = failedShare(region);
  if (failed > 0.1 && breaker.state === 'passing') found('look', `${percent(failed)} of the calls to ${name} ${lately(report)} failed.`);
  if (Math.abs(region.clockSkewSeconds) >= 30) found('look', `The clock of region ${name} is ${Math.round(region.clockSkewSeconds)} s off ours.`);
  // Among several regions a conflict may be nobody's fault: an id that two of them know.
  const isShared = report.regions.length > 1;
  if (drift.conflict.recent && isShared) {
    found('look', `Region ${name} and another both know an id, or an answer of ${name} contradicts itself: ${number(drift.conflict.recent)} × conflict.`);
  }
  const apart = isShared ? ['id_mismatch', 'conflict'] : ['id_mismatch'];
  const departures = Object.entries(drift).filter(([kind, count]) => count.recent && !apart.includes(kind));
  if (departures.length) {
    found('look', `Region ${name} departs from its contract: ${departures.map(([kind, count]) => `${number(count.recent)} × ${kind.replace('_', ' ')}`).join(', ')}.`);
  }
  return troubles;
}

const times = (count) => (count === 1 ? 'once' : `${number(count)} times`);
