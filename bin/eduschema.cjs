#!/usr/bin/env node
const { main } = require('../dist/cli.cjs');

// Thrown outside of every command: by code that a migration left behind, or by a bug. The stack says which.
process.on('uncaughtException', (error) => {
  process.stderr.write(`an error was thrown that nobody waited for: ${error?.stack ?? error}\n`);
  process.exit(3);
});

main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
