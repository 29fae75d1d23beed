import type { Database } from '../../db/connect.ts';
import type { QualifiedName } from '../../db/identifiers.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { checkOfManifest } from '../archive/manifest.ts';
import type { Archive } from '../archive/read-archive.ts';
import { renderKeys, renderTable } from '../archive/table-facts.ts';
import { writeMark } from '../retain/marker.ts';
import { readClock } from '../retain/queries.ts';
import { loadArchive, setComment } from './load.ts';
import { findByName } from './situation.ts';

/**
 * Loads an archive into a new table of its own, made by the recorded DDL, whatever became of the table that it was a part
 * of. All or nothing; done once, it is not done again. Throws `partition-occupied` when another table has the name.
 */
export async function restoreInto(
  database: Database,
  archive: Archive,
  name: QualifiedName,
  settings: WorkSettings,
): Promise<{ readonly rows: number; readonly already: boolean }> {
  const { manifest } = archive;
  const check = checkOfManifest(manifest);
  const shown = `${name.schema}.${name.name}`;
  return withWorker(database, `table ${shown}`, settings, async (worker) => {
    const found = await findByName(database.sql, name);
    if (found?.marks.restored?.manifest === check) return { rows: manifest.data.rows, already: true };
    if (found)
      throw new EduschemaError('partition-occupied', `there is a table ${shown} already`, {
        hint: 'name another one with --into',
      });
    const { now } = await readClock(database.sql, undefined, { count: 0, unit: 'day' });
    await worker.transaction(`load ${shown}`, async (sql) => {
      const [create] = renderTable(name, manifest.definition);
      await sql.unsafe(create as string);
      await loadArchive(worker.session, sql, archive, name);
      for (const statement of renderKeys(name, manifest.definition)) await sql.unsafe(statement);
      const { parent, bounds } = manifest;
      const mark = {
        parent: { schema: parent.schema, name: parent.name },
        ...bounds,
        since: now,
        manifest: check,
      };
      await setComment(sql, name, writeMark('', { restored: mark }) as string);
    });
    return { rows: manifest.data.rows, already: false };
  });
}
