import { toolVersion } from '../tool-version.ts';
import { processWorld, type World } from './world.ts';

export { areResultsWritten } from './streams.ts';
export { tellStray } from './world.ts';

/** Runs a command line and returns its exit code: see docs/cli.md. Never throws. */
export async function main(argv: readonly string[], world: World = processWorld()): Promise<number> {
  // Scripts ask for the version often; it costs no more than starting Node.
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    world.stdout.write(`${toolVersion}\n`);
    return 0;
  }
  const { runProgram } = await import('./program.ts');
  return runProgram(argv, world);
}

/** Says that a command line stopped in the middle: what it waited for never came, nor an error. */
export async function endEarly(argv: readonly string[], world: World = processWorld()): Promise<void> {
  const program = await import('./program.ts');
  await program.endEarly(argv, world);
}
