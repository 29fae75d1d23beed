import type { QualifiedName } from './identifiers.ts';

/** The table of runs of `dedupe`; it stands beside the journal of migrations. */
export function dedupeRuns({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_dedupe` };
}

/** The table with what each run of `dedupe` has changed, from which it is undone. */
export function dedupeLog({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_dedupe_log` };
}

/** The journal of seeds; it stands beside that of migrations. */
export function seedJournal({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_seeds` };
}
