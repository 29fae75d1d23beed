import { promises } from 'node:fs';
import type { TransactionSql } from 'postgres';
import { quoteName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { applyCopySettings } from '../archive/copy-settings.ts';
import { checkOfManifest } from '../archive/manifest.ts';
import { placeOf } from '../archive/place.ts';
import { type Archive, openArchive, verifyFile } from '../archive/read-archive.ts';
import { readInside } from '../archive/table-facts.ts';
import { confirmSameRows } from './archive-partition.ts';
import type { ArchiveMark, Retired } from './marker.ts';
import { planMark } from './plan.ts';
import { type Candidate, findCandidate } from './queries.ts';
import type { RetireContext } from './retire.ts';

/**
 * Drops a retired table, when its archive is still the one that was read back, and the table, under a lock that keeps
 * writers out, still holds the same rows; comparing and dropping are one transaction. An archive that is gone is made
 * again while the table is there: its mark is taken away, and nothing is dropped. Throws `archive-damaged` and
 * `archive-differs`. A table without an archive is dropped as it is: whoever calls has been asked.
 */
export async function dropPartition(context: RetireContext, candidate: Candidate): Promise<undefined> {
  const { worker, during } = context;
  const { retired } = candidate.marks as { retired: Retired };
  const archive = retired.archive && (await locate(context, candidate, retired.archive));
  if (retired.archive && !archive) return;
  const title = `drop ${candidate.name.schema}.${candidate.name.name}`;
  await during(title, () =>
    worker.transaction(title, async (sql) => {
      await sql.unsafe(`LOCK TABLE ${quoteName(candidate.name)} IN ACCESS EXCLUSIVE MODE`);
      await confirmUntouched(sql, candidate);
      if (archive) await confirmArchived(context, sql, candidate, archive);
      await sql.unsafe(`DROP TABLE ${quoteName(candidate.name)}`);
    }),
  );
}

/** The archive of the mark, where it was or where archives go now. */
async function locate(
  { worker, root, during, say }: RetireContext,
  candidate: Candidate,
  mark: ArchiveMark,
): Promise<Archive | undefined> {
  const { session } = worker;
  const elsewhere = root && (await placeOf(root, session.facts.database, candidate.name)).folder;
  for (const folder of [mark.folder, ...(elsewhere ? [elsewhere] : [])]) {
    if (!(await promises.stat(folder).catch(() => undefined))) continue;
    const archive = await openArchive(folder);
    if (checkOfManifest(archive.manifest) !== mark.manifest || archive.manifest.file.sha256 !== mark.sha256)
      throw new EduschemaError(
        'archive-damaged',
        `${folder} is not the archive that was read back at ${mark.archivedAt}`,
        { hint: 'put that one there again, or move this one away; the table is not dropped' },
      );
    await during(`check the archive of ${candidate.name.schema}.${candidate.name.name}`, () =>
      verifyFile(archive),
    );
    return archive;
  }
  if (!root)
    throw new EduschemaError('archive-damaged', `the archive ${mark.folder} is gone`, {
      hint: 'put it there again, or name a folder with --archive to have the table archived anew',
    });
  say(`the archive ${mark.folder} is gone: the table is archived anew`);
  const { archive: _, dropAfter: __, ...retired } = candidate.marks.retired as Retired;
  const step = planMark(candidate, retired);
  await during(step.title, () => worker.carryOut(step));
  return undefined;
}

/** The lock may have come after somebody else's work on the table. */
async function confirmUntouched(sql: TransactionSql, seen: Candidate): Promise<void> {
  const now = await findCandidate(sql, seen.oid);
  if (now?.attachedTo === null && now.comment === seen.comment) return;
  throw new EduschemaError(
    'archive-differs',
    `${seen.name.schema}.${seen.name.name} was changed just now: it is attached again, or its mark is another`,
    { hint: 'run the command again' },
  );
}

async function confirmArchived(
  { worker }: RetireContext,
  sql: TransactionSql,
  { oid, name }: Candidate,
  archive: Archive,
): Promise<void> {
  await applyCopySettings(sql);
  const { columns } = await readInside(sql, oid);
  await confirmSameRows(worker.session, sql, name, columns, archive);
}
