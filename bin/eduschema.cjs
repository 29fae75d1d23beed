#!/usr/bin/env node
const { main } = require('../dist/cli.cjs');

// `eduschema status | head -1`: whoever reads has enough.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
