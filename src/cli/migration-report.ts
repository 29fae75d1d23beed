import type { MigrateResult } from '../migrations/carry-out.ts';
import type { MigrationSettings } from '../migrations/settings.ts';
import { countOf, showDuration } from '../output/duration.ts';
import type { Report } from '../output/report.ts';
import { createEventDisplay } from './migration-events.ts';
import type { CommonOptions } from './options.ts';
import type { LocalContext } from './run.ts';

/** The settings of a command's migrations, with what happens shown as progress and warnings. */
export function watchMigrations(context: LocalContext<CommonOptions>): MigrationSettings {
  const { settings, signal } = context;
  return { ...settings.migrations, signal, onProgress: createEventDisplay(context) };
}

/** What `migrate` or `rollback` did, as a report. */
export function reportMigrations(
  { done, hooks, previous, current, script, planSha256 }: MigrateResult,
  verb: 'applied' | 'undone',
): Report {
  const summary = {
    [verb]: done.length,
    previous: previous ?? null,
    current: current ?? null,
    ...(hooks.length > 0 ? { hooks } : {}),
    ...(planSha256 ? { planSha256 } : {}),
  };
  if (script !== undefined) return { rows: [], summary, text: script === '' ? '-- nothing to do\n' : script };
  const durationMs = done.reduce((sum, step) => sum + step.durationMs, 0);
  const now = current === undefined ? 'no version is applied' : `the current version is ${current}`;
  const plan = planSha256 ? `\nsha256 of the plan: ${planSha256}` : '';
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
        ? `${hooks.length > 0 ? 'no migration was pending' : 'nothing to do'}; ${now}${showHooks(hooks)}${plan}`
        : `${countOf(done.length, 'migration')} ${verb} in ${showDuration(durationMs)}; ${now}${showHooks(hooks)}${plan}`,
  };
}

function showHooks(hooks: MigrateResult['hooks']): string {
  if (hooks.length === 0) return '';
  const shown = hooks.map(({ name, durationMs }) => `${name} (${showDuration(durationMs)})`);
  return `\nhooks run: ${shown.join(', ')}`;
}
