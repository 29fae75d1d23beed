import { execFileSync } from 'node:child_process';

/** The path of psql where one is installed. The servers from npm bring none. */
export function findPsql(): string | undefined {
  try {
    return execFileSync('sh', ['-c', 'command -v psql'], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
