/** A column of `materials` that counts the rows of a table of logs. */
export interface Counter {
  readonly column: string;
  readonly logs: string;
  /** The column of the logs that says which material. */
  readonly key: string;
  /** The trigger of the logs that counts. */
  readonly trigger: string;
}

/** The counters of the education schema, `migrations/1.5.0_counters.sql`. */
export const counters: readonly Counter[] = [
  {
    column: 'download_count',
    logs: 'download_logs',
    key: 'material_id',
    trigger: 'increment_material_downloads',
  },
  { column: 'view_count', logs: 'view_logs', key: 'material_id', trigger: 'increment_material_views' },
];

/** The table that the counters are in, and its key. */
export const counted = { table: 'materials', key: 'id' } as const;
