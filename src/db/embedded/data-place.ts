import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Account, canEnter, findAccount, makeOpenFolder } from './account.ts';
import type { ServerFiles } from './server-files.ts';

/** Where a server's data is, and whose it is. */
export interface DataPlace {
  readonly dataFolder: string;
  readonly account: Account | undefined;
  /** Where copies of the binaries go, if any are needed. */
  readonly home: string;
}

/** Where root keeps what the server's account must reach, when the project is in a folder closed to it. */
export const commonHome = '/var/lib/eduschema';

const noteName = 'data-is-in';
const ownerName = 'belongs-to';

/** Finds the data of the server of `.eduschema`; undefined when there is none yet. Creates nothing. */
export function findDataPlace(files: ServerFiles): DataPlace | undefined {
  const dataFolder = [readNote(files), join(files.folder, 'data')].find(
    (folder) => folder && existsSync(folder),
  );
  return dataFolder === undefined ? undefined : placeIn(files, dataFolder, findAccount(dataFolder));
}

/**
 * Decides where new data goes: into `.eduschema`, unless we are root and the account that PostgreSQL must run as
 * cannot get there (/root is such a folder). Then into a folder of `commonHome`, and a note in `.eduschema` says so.
 */
export function chooseDataPlace(files: ServerFiles, onProgress?: (text: string) => void): DataPlace {
  const account = findAccount();
  if (canEnter(account, realpathSync(files.folder)))
    return placeIn(files, join(files.folder, 'data'), account);
  const folder = join(commonHome, randomBytes(8).toString('hex'));
  makeOpenFolder(commonHome);
  makeOpenFolder(folder);
  writeFileSync(join(folder, ownerName), `${realpathSync(files.folder)}\n`);
  writeFileSync(join(files.folder, noteName), `${join(folder, 'data')}\n`);
  onProgress?.(
    `PostgreSQL does not run as root and its account cannot enter ${files.folder}: the data goes to ${folder}`,
  );
  return placeIn(files, join(folder, 'data'), account);
}

/** Makes data outside `.eduschema` ours after the project was moved, so that a later copy of it gets its own. */
export function claimData({ folder }: ServerFiles, { dataFolder }: DataPlace): void {
  const owner = join(dirname(dataFolder), ownerName);
  if (existsSync(owner)) writeFileSync(owner, `${realpathSync(folder)}\n`);
}

function placeIn({ folder }: ServerFiles, dataFolder: string, account: Account | undefined): DataPlace {
  return { dataFolder, account, home: account === undefined ? folder : commonHome };
}

/** What `chooseDataPlace` notes: a reset follows no note to another place. */
const placeOfData = new RegExp(`^${commonHome}/[0-9a-f]{16}/data$`);

/** A project that was copied with its note has no right to the data; one that was moved has. */
function readNote({ folder }: ServerFiles): string | undefined {
  if (!existsSync(join(folder, noteName))) return undefined;
  const dataFolder = readFileSync(join(folder, noteName), 'utf8').trim();
  const owner = join(dirname(dataFolder), ownerName);
  if (!placeOfData.test(dataFolder) || !existsSync(owner)) return undefined;
  const project = readFileSync(owner, 'utf8').trim();
  return project === realpathSync(folder) || !existsSync(join(project, noteName)) ? dataFolder : undefined;
}
