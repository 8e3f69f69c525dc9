// What the numbers of /status mean, in words. Knows no element of the page.

/** Steps that make a minute. */
const minute = (report) => Math.max(1, Math.round(60 / report.stepSeconds));

/** The sum of the newest members of a series that make a minute, scaled up if there are fewer. */
export function perMinute(series, report) {
  const newest = series.slice(-minute(report));
  return newest.length ? (sum(newest) * minute(report)) / newest.length : null;
}

/** The share of failures in the last minute; none of nothing. */
export function shareOfLastMinute(series, report) {
  const n = minute(report);
  return share(sum(series.failed.slice(-n)), sum(series.requests.slice(-n)));
}

export const sum = (numbers) => numbers.reduce((total, number) => total + (number ?? 0), 0);
export const share = (part, whole) => (whole > 0 ? part / whole : null);
export const total = (counts, key) => sum(Object.values(counts).map((count) => count[key]));

/** Calls to a region that got no answer about their id. */
export function failedCalls(requests) {
  return Object.entries(requests).filter(([name]) => name !== 'ok' && name !== 'not_found');
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
  return { level: { passing: 'good', probing: 'look', tripped: 'bad' }[state], text: describe(region, report) };
}

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
  const troubles = [...gatewayTroubles(report), ...report.regions.flatMap((region) => regionTroubles(region, report))];
  const bad = troubles.filter(([level]) => level === 'bad').map(([, text]) => text);
  const look = troubles.filter(([level]) => level === 'look').map(([, text]) => text);
  const stages = {
    starting: 'Starting: not ready for traffic yet.',
    draining: 'Draining: answers what still comes, and then stops.',
    ready: 'Serving.',
  };
  const all = [...bad, ...look];
  const sentence = all.length ? all[0] : wellBeing(report);
  const rest = all.slice(1).concat(gatewayNotes(report));
  const level = bad.length ? 'bad' : look.length || report.stage !== 'ready' ? 'look' : 'good';
  return { level, sentence: `${stages[report.stage]} ${sentence}`, notes: rest };
}

function wellBeing(report) {
  const count = report.regions.length;
  const subject = count === 1 ? `Region ${report.regions[0].name}` : `All ${count} regions`;
  const asked = report.regions.some((region) => total(region.requests, 'recent') > 0);
  return asked ? `${subject} ${count === 1 ? 'is' : 'are'} passing.` : 'No region had to be asked of late.';
}

function gatewayTroubles(report) {
  const troubles = [];
  if (report.panics.recent > 0) {
    troubles.push(['bad', `${times(report.panics.recent)} a panic was caught: a defect of the gateway.`]);
  }
  const failed = shareOfLastMinute(report.answers.series, report);
  if (failed > 0.01) troubles.push(['look', `${percent(failed)} of the last minute's answers were 5xx.`]);
  return troubles;
}

/** Worth knowing, but no trouble of the gateway's. */
function gatewayNotes(report) {
  const notes = [];
  const { rateLimited, reloadsRefused, panics, lookups, cache } = report;
  if (lookups.stale.recent) notes.push(`${counted(lookups.stale.recent, 'lookup was', 'lookups were')} answered with a stale result.`);
  if (rateLimited.recent) notes.push(`${counted(rateLimited.recent, 'request was', 'requests were')} over the caller's rate.`);
  if (reloadsRefused.recent) notes.push('A watched file holds something that cannot be used; the log says which.');
  if (cache.evictions.size.recent) notes.push(`${counted(cache.evictions.size.recent, 'entry', 'entries')} left the cache for want of room.`);
  if (panics.total && !panics.recent) notes.push(`${times(panics.total)} a panic was caught since the start.`);
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
  const failed = shareOfLastMinute(region.series, report);
  if (failed > 0.1 && breaker.state === 'passing') found('look', `${percent(failed)} of the last minute's calls to ${name} failed.`);
  if (Math.abs(region.clockSkewSeconds) >= 30) found('look', `The clock of region ${name} is ${Math.round(region.clockSkewSeconds)} s off ours.`);
  // Among several regions a conflict may be nobody's fault: an id that two of them know.
  const isShared = report.regions.length > 1;
  if (drift.conflict.recent && isShared) {
    found('look', `Region ${name} and another both know an id, or an answer of ${name} contradicts itself: ${number(drift.conflict.recent)} × conflict.`);
  }
  const apart = isShared ? ['id_mismatch', 'conflict'] : ['id_mismatch'];
  const departures = Object.entries(drift).filter(([kind, count]) => count.recent && !apart.includes(kind));
  if (departures.length) {
    found('look', `Region ${name} left its contract: ${departures.map(([kind, count]) => `${number(count.recent)} × ${kind.replace('_', ' ')}`).join(', ')}.`);
  }
  return troubles;
}

const times = (count) => (count === 1 ? 'once' : `${number(count)} times`);
