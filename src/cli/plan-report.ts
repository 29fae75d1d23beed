import type { MigrateResult } from '../migrations/carry-out.ts';
import type { MadePlan } from '../migrations/make-plan.ts';
import { countOf } from '../output/duration.ts';
import type { Report } from '../output/report.ts';

/** What `migrate --plan` wrote, as a report; a plan for stdout is all that is printed there. */
export function reportPlan(
  { file, sha256, fingerprint, steps, warnings }: MadePlan,
  { current, script }: MigrateResult,
): Report {
  const rows = steps.map(({ name, version, description, file, transaction, statements }) => ({
    name,
    version,
    description,
    file,
    transaction,
    statements: statements?.length ?? null,
  }));
  const known = rows.reduce((sum, { statements }) => sum + (statements ?? 0), 0);
  const planned =
    rows.length === 0
      ? `${file}: nothing to do`
      : `${file}: ${countOf(rows.length, 'migration')}, ${countOf(known, 'statement')}; nothing was changed`;
  return {
    columns: [
      { key: 'version', title: 'version', show: (version: string | null) => version ?? 'repeatable' },
      { key: 'description', title: 'description' },
      { key: 'transaction', title: 'transaction' },
      {
        key: 'statements',
        title: 'statements',
        align: 'right',
        show: (count: number | null) => (count === null ? 'code' : String(count)),
      },
    ],
    rows,
    shown: 40,
    summary: { planned: rows.length, current: current ?? null, file, sha256, fingerprint },
    message: `${planned}\nsha256: ${sha256}\nto carry it out: eduschema migrate --from-plan ${file}`,
    warnings,
    ...(script === undefined ? {} : { text: script }),
  };
}
