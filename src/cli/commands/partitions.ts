import type { Command } from 'commander';
import type { Runner } from '../run.ts';
import { partitionsCheckCommand } from './partitions/check.ts';
import { partitionsConvertCommand } from './partitions/convert.ts';
import { partitionsEnsureCommand } from './partitions/ensure.ts';
import { partitionsListCommand } from './partitions/list.ts';
import { partitionsPolicyCommand } from './partitions/policy.ts';
import { partitionsRestoreCommand } from './partitions/restore.ts';
import { partitionsRetainCommand } from './partitions/retain.ts';
import { partitionsUndoCommand } from './partitions/undo.ts';

/** `eduschema partitions <verb>`: a file a verb, in the order of a DBA's needs. */
const verbs = [
  partitionsListCommand,
  partitionsEnsureCommand,
  partitionsCheckCommand,
  partitionsPolicyCommand,
  partitionsConvertCommand,
  partitionsUndoCommand,
  partitionsRetainCommand,
  partitionsRestoreCommand,
];

/** `eduschema partitions` */
export function partitionsCommand(program: Command, runner: Runner): void {
  const noun = program
    .command('partitions')
    .description('partitions by time: made ahead, converted to, retired');
  for (const verb of verbs) verb(noun, runner);
}
