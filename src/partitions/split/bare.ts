import type { Choices } from '../convert/choices.ts';
import { fingerprintOf } from '../convert/fingerprint.ts';
import type { TableDescription } from '../convert/table-description.ts';

/**
 * What of a table its twin has while rows are copied: columns, checks, identities. Keys and indexes come when the rows
 * are there, everything else just before the swap, so that a change of it meanwhile costs no second copy.
 */
export function bareOf(table: TableDescription): TableDescription {
  return {
    ...table,
    comment: null,
    // None: nobody but the owner comes near it.
    grants: [],
    hasPlainRights: true,
    rowSecurity: false,
    forcesRowSecurity: false,
    replicaIdentity: 'd',
    indexes: [],
    foreignKeys: [],
    incomingKeys: [],
    triggers: [],
    rules: [],
    policies: [],
    publications: [],
    statistics: [],
    sequences: table.sequences
      .filter(({ isIdentity }) => isIdentity)
      .map((sequence) => ({ ...sequence, grants: [], hasPlainRights: true, comment: null })),
    columns: table.columns.map((column) => ({
      ...column,
      default: column.generated === '' ? null : column.default,
      grants: [],
      comment: null,
      statisticsTarget: null,
      options: [],
    })),
    dependents: {
      views: [],
      materializedViews: [],
      functions: [],
      policies: [],
      rules: [],
      others: [],
    },
  };
}

/** Differs when rows that were copied so far are of no use: with the columns, the primary key, or the periods. */
export function madeOf(table: TableDescription, choices: Choices): string {
  const key = table.indexes.find(({ constraint }) => constraint?.type === 'p')?.keys ?? [];
  const { unit, zone } = choices.policy;
  const { method, column, keepsBefore, end } = choices;
  return fingerprintOf(
    { ...bareOf(table), comment: JSON.stringify({ key, unit, zone, before: keepsBefore ? end : null }) },
    { method, column, widen: [], dropIncoming: [] },
  );
}
