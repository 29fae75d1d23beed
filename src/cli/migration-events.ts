import { describeHolder } from '../db/advisory-lock.ts';
import { adviceOn, type Blocker, describeBlocker } from '../db/blockers.ts';
import { describeLeftover } from '../db/leftovers.ts';
import type { ProgressEvent } from '../db/lock-settings.ts';
import type { MigrationEvent } from '../migrations/settings.ts';
import { showDuration } from '../output/duration.ts';
import { redact } from '../output/render-error.ts';
import type { CommonOptions } from './options.ts';
import type { DatabaseContext } from './run.ts';

type Shown = Pick<DatabaseContext<CommonOptions>, 'progress' | 'options' | 'warnings' | 'world'>;

/**
 * Shows what happens while migrations run: to a person as lines and a spinner, in a log as lines, of long statements
 * one in ten seconds; with --json as one JSON object a line on stderr, unless --quiet is given as well.
 */
export function createEventDisplay({
  progress,
  options,
  warnings,
  world,
}: Shown): (event: MigrationEvent) => void {
  let title = '';
  const nextLine = createPacer(10);
  const warnOfLeftover = createLeftoverWarner(warnings);
  return (event) => {
    if (options.json && !options.quiet) world.stderr.write(toJsonLine(event));
    switch (event.type) {
      case 'waiting':
        progress.say(`waiting for another eduschema: ${describeHolder(event.holder)}`);
        return progress.work('waiting for another eduschema');
      case 'blocked':
        progress.say(describeBlockers(event.blockers));
        return progress.work(`${title}: waiting for a lock`);
      case 'retrying':
        return progress.work(`${title}: no lock yet (tries: ${event.attempts}); trying again`);
      case 'let-go':
        return progress.say(
          `${event.queued} sessions queued behind us${event.relation ? ` for ${event.relation}` : ''}: letting them through, trying again later`,
        );
      case 'holding-off':
        return progress.work(
          `${title}: a transaction of ${showSeconds(event.holderSeconds)} still holds ${event.relation}; waiting a little before trying again`,
        );
      case 'terminated':
        return progress.say(redact(`ended, as it sat idle in the way: ${describeBlocker(event.blocker)}`));
      case 'not-terminated':
        return progress.say(
          redact(`warning: may not end ${describeBlocker(event.blocker)}; ${event.reason}`),
        );
      case 'started':
        title = `${event.name} (${event.index + 1} of ${event.total})`;
        nextLine.restart();
        return progress.work(title);
      case 'progress':
        progress.work(`${title}: ${describeProgress(event)}`);
        if (event.waitingFor.length === 0 && nextLine.isDue(event.seconds))
          progress.log(`${title}: ${describeProgress(event)}`);
        return;
      case 'done':
        return progress.tell(`✔ ${event.name} ${showDuration(event.durationMs)}`);
      case 'resumed':
        return progress.say(event.message);
      case 'left':
        return warnOfLeftover(event);
      case 'log':
        return progress.say(event.message);
      case 'notice':
        if (event.severity === 'WARNING') warnings.push(event.message);
        else if (options.verbose) progress.say(`${event.severity.toLowerCase()}: ${event.message}`);
    }
  };
}

/** A dump gives each of its objects an owner: the first ones are named, the rest is counted. */
const shownOwners = 20;

function createLeftoverWarner(
  warnings: string[],
): (event: Extract<MigrationEvent, { type: 'left' }>) => void {
  let owned = 0;
  let countedAt = -1;
  return ({ name, leftover }) => {
    if (leftover.kind === 'owned by another' && ++owned > shownOwners) {
      if (countedAt < 0) countedAt = warnings.length;
      warnings[countedAt] = `and ${owned - shownOwners} more that are not owned by ${leftover.role}`;
      return;
    }
    warnings.push(`${name}: ${describeLeftover(leftover)} (${leftover.remedy})`);
  };
}

/** Says when a line is due: the first and each next one when the statement is `seconds` older. */
function createPacer(seconds: number): { restart(): void; isDue(age: number): boolean } {
  let next = seconds;
  return {
    restart() {
      next = seconds;
    },
    isDue(age) {
      // Another statement has begun.
      if (age < next - seconds) next = seconds;
      if (age < next) return false;
      next = age + seconds;
      return true;
    },
  };
}

function toJsonLine({ type, ...facts }: MigrationEvent): string {
  const safe = JSON.stringify({ event: type, ...facts }, (_, value) => {
    if (typeof value === 'number') return Math.round(value * 10) / 10;
    return typeof value === 'string' ? redact(value) : value;
  });
  return `${safe}\n`;
}

const shownBlockers = 5;

function describeBlockers(blockers: readonly Blocker[]): string {
  const lines = blockers.slice(0, shownBlockers).map((blocker) => {
    const advice = adviceOn(blocker);
    return redact(`waiting for a lock: ${describeBlocker(blocker)}`) + (advice ? `\n  ${advice}` : '');
  });
  const more = blockers.length - shownBlockers;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}

/** `CREATE INDEX on t, building index: scanning table, 45.1 % of 4,425 blocks, 12 s left`. */
export function describeProgress(event: ProgressEvent): string {
  const { command, relation, phase, percent, done, total, unit, secondsLeft, seconds, waitingFor } = event;
  const rate = unit === 'rows' && event.phase === null ? Math.round(event.ratePerSecond ?? 0) : 0;
  const what = command && (relation ? `${command} on ${relation}` : command);
  const [first] = waitingFor;
  const counted =
    unit === null || done === null
      ? undefined
      : percent === null || total === null
        ? `${show(done)} ${unit}`
        : unit === 'transactions'
          ? `${show(done)} of ${show(total)} ${unit}`
          : `${percent.toFixed(1)} % of ${show(total)} ${unit}`;
  return [
    what,
    phase,
    counted,
    rate > 0 && `${show(rate)} rows/s`,
    secondsLeft !== null && secondsLeft >= 1 && `${showSeconds(secondsLeft)} left`,
    first && (first.pid === 0 ? `waits for ${describeBlocker(first)}` : `waits for pid ${first.pid}`),
    `since ${showSeconds(seconds)}`,
  ]
    .filter(Boolean)
    .join(', ');
}

const show = (count: number) => count.toLocaleString('en');

/** Without fractions, which flicker. */
const showSeconds = (seconds: number) =>
  seconds < 60 ? `${Math.round(seconds)} s` : showDuration(Math.round(seconds) * 1000);
