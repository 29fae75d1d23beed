// An adapter of eduschema for the peer harness (see bench/README.md): copy it into the harness's adapters/.
// EDUSCHEMA is the folder of a built clone.
import fs from 'node:fs';
import path from 'node:path';
import { projectDir, put, stamp } from '../lib.mjs';

const home = process.env.EDUSCHEMA ?? process.cwd();
const bin = path.join(home, 'bin', 'eduschema.cjs');

export default {
  version: () => JSON.parse(fs.readFileSync(path.join(home, 'package.json'), 'utf8')).version,
  startup: () => ({ cmd: process.execPath, args: [bin, '--version'] }),
  write(dir, list) {
    projectDir(dir);
    for (const m of list) {
      const options = m.noTx ? ' transaction:false' : '';
      put(
        `${dir}/migrations/${stamp(m.n)}_${m.name}.sql`,
        `${m.bom ?? ''}-- migrate:up${options}\n${m.sql}\n-- migrate:down\n${m.down ?? ''}\n`,
      );
    }
  },
  run: (dir, url) => ({
    cmd: process.execPath,
    args: [bin, 'migrate'],
    cwd: dir,
    env: { DATABASE_URL: url },
  }),
  applied: 'SELECT count(*) FROM schema_versions',
  table: 'schema_versions',
};
