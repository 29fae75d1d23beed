import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const bin = resolve(import.meta.dirname, '../../bin/eduschema.cjs');

/** A process of the built command line. */
export interface StartedProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<{ exitCode: number | null; stdout: string; stderr: string }>;
  /** What it has said so far. */
  stderr(): string;
}

/** Starts the built command line, in an environment of its own. */
export function startProcess(line: string, cwd: string, env: Record<string, string>): StartedProcess {
  const child = spawn(process.execPath, [bin, ...line.split(' ')], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<{ exitCode: number | null; stdout: string; stderr: string }>((done) =>
    child.once('close', (exitCode) => done({ exitCode, stdout, stderr })),
  );
  return { child, ended, stderr: () => stderr };
}

/** Waits, for ten seconds at most, until something is true. */
export async function until(what: string, isTrue: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await isTrue()) return;
    await sleep(25);
  }
  throw new Error(`it did not come to this: ${what}`);
}
