import { describeHolder } from '../db/advisory-lock.ts';
import { describeLeftover } from '../db/leftovers.ts';
import { describeBlocker } from '../db/lock-ladder.ts';
import type { MigrateResult } from '../migrations/carry-out.ts';
import type { MigrationEvent, MigrationSettings } from '../migrations/settings.ts';
import { countOf, showDuration } from '../output/duration.ts';
import type { Report } from '../output/report.ts';
import type { CommonOptions } from './options.ts';
import type { DatabaseContext } from './run.ts';

/** The settings of a command's migrations, with what happens shown as progress and warnings. */
export function watchMigrations({
  settings,
  progress,
  signal,
  options,
  warnings,
}: DatabaseContext<CommonOptions>): MigrationSettings {
  const onProgress = (event: MigrationEvent) => {
    switch (event.type) {
      case 'waiting':
        progress.say(`waiting for another eduschema: ${describeHolder(event.holder)}`);
        return progress.work('waiting for another eduschema');
      case 'blocked':
        return progress.say(
          event.blockers.map((blocker) => `waiting for a lock: ${describeBlocker(blocker)}`).join('\n'),
        );
      case 'retrying':
        return progress.work(`no lock yet; trying again in ${showDuration(event.pauseMs)}`);
      case 'started':
        return progress.work(`${event.name} (${event.index + 1} of ${event.total})`);
      case 'done':
        return progress.tell(`✔ ${event.name} ${showDuration(event.durationMs)}`);
      case 'resumed':
        return progress.say(event.message);
      case 'left':
        return void warnings.push(
          `${event.name}: ${describeLeftover(event.leftover)} (${event.leftover.remedy})`,
        );
      case 'log':
        return progress.say(event.message);
      case 'notice':
        if (event.severity === 'WARNING') warnings.push(event.message);
        else if (options.verbose) progress.say(`${event.severity.toLowerCase()}: ${event.message}`);
    }
  };
  return { ...settings.migrations, signal, onProgress };
}

/** What `migrate` or `rollback` did, as a report. */
export function reportMigrations(
  { done, previous, current, script }: MigrateResult,
  verb: 'applied' | 'undone',
): Report {
  const summary = { [verb]: done.length, previous: previous ?? null, current: current ?? null };
  if (script !== undefined) return { rows: [], summary, text: script === '' ? '-- nothing to do\n' : script };
  const durationMs = done.reduce((sum, step) => sum + step.durationMs, 0);
  const now = current === undefined ? 'no version is applied' : `the current version is ${current}`;
  return {
    columns: [
      { key: 'version', title: 'version', show: (version: string | null) => version ?? 'repeatable' },
      { key: 'description', title: 'description' },
      { key: 'durationMs', title: 'time', align: 'right', show: showDuration },
    ],
    rows: done,
    shown: 40,
    summary,
    message:
      done.length === 0
        ? `nothing to do; ${now}`
        : `${countOf(done.length, 'migration')} ${verb} in ${showDuration(durationMs)}; ${now}`,
  };
}
