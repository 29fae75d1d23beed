import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** An account of the operating system that a server runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The account to run PostgreSQL as, or undefined for our own. As root PostgreSQL refuses to run: then it is the
 * owner of `dataFolder` where there is one, else `postgres`, else `nobody`.
 */
export function findAccount(dataFolder?: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = dataFolder === undefined ? undefined : statSync(dataFolder, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  return { uid: 65534, gid: 65534 };
}

/** True when `account` may pass through `folder` and every folder above it. */
export function canEnter(account: Account | undefined, folder: string): boolean {
  if (account === undefined) return true;
  const { mode, uid, gid } = statSync(folder);
  const passable = uid === account.uid ? mode & 0o100 : gid === account.gid ? mode & 0o010 : mode & 0o001;
  return passable !== 0 && (dirname(folder) === folder || canEnter(account, dirname(folder)));
}

/** Makes a folder that every account can pass through, whatever the umask is; one that is there stays as it is. */
export function makeOpenFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  if (process.getuid?.() === 0) chmodSync(folder, 0o755);
}
