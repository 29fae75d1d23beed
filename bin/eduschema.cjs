#!/usr/bin/env node
const exit = process.exit.bind(process);
const { main, endEarly, tellStray, areResultsWritten } = require('../dist/cli.cjs');

// Thrown outside of every command: by code that a migration left behind, or by a bug. The stack says which.
process.on('uncaughtException', (error) => {
  if (tellStray(error)) return;
  process.stderr.write(`an error was thrown that nobody waited for: ${error?.stack ?? error}\n`);
  exit(3);
});

// When nothing is left to wait for, Node ends the process, with 0 unless it is told otherwise. Told to, it does not take
// its memory apart first, which takes hundredths of a second.
let done = false;
process.exitCode = 3;
process.once('beforeExit', () => {
  if (done) exit(process.exitCode);
  void endEarly(process.argv.slice(2));
});

main(process.argv.slice(2)).then((exitCode) => {
  done = true;
  process.exitCode = exitCode;
  // What a migration has left running does not keep the process: all that counts is written.
  setInterval(() => areResultsWritten() && exit(exitCode), 500).unref();
  // Node would wait until V8 has compiled what it is at in the background, for nobody.
  setImmediate(() => {
    const isWritten = areResultsWritten() && process.stderr.writableLength === 0;
    const isHeard = process.listenerCount('beforeExit') > 1;
    if (isWritten && !isHeard && process.getActiveResourcesInfo().length === 0) exit(exitCode);
  });
});
