// Runs a command far enough to compile what most commands use, then writes the code cache (load-cached.cjs).
const { writeFileSync } = require('node:fs');
const { runProgram, codeCache } = require('../dist/lib/program.cjs');

const silent = { write: () => {}, isTTY: false };
const world = {
  // Nothing listens on port 1: the command ends where the connection begins.
  env: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' },
  cwd: process.cwd(),
  homeFolder: '/nonexistent',
  userName: 'nobody',
  stdout: silent,
  stderr: silent,
  ask: undefined,
  onInterrupt: () => () => {},
};
const run = async () => {
  await runProgram(['migrate'], world);
  await runProgram(['partitions', 'ensure'], world);
  const { path, content } = codeCache();
  writeFileSync(path, content);
};
void run();
