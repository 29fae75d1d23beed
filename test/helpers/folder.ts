import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Lends a new folder with `files` in it (path to content), which others may enter, and removes it afterwards. */
export async function withFolder<T>(
  files: Readonly<Record<string, string | Buffer>>,
  use: (folder: string) => Promise<T> | T,
): Promise<T> {
  const folder = makeFolder(files);
  try {
    return await use(folder);
  } finally {
    removeFolder(folder);
  }
}

/** For `beforeAll`: a new folder with `files` in it. Give it to `removeFolder` in `afterAll`. */
export function makeFolder(files: Readonly<Record<string, string | Buffer>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'eduschema-test-'));
  chmodSync(folder, 0o755);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** Removes a folder of `makeFolder` with all that is in it now. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
