import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told apart from a later one with the same pid by when it started. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In the system's own words; `unknown` where it does not say. */
  readonly start: string;
}

/** Identifies the process `pid`; undefined when it is gone, or a zombie that nobody has collected. */
export function findProcess(pid: number): ProcessIdentity | undefined {
  const start =
    process.platform === 'linux' ? findStartInProc(pid) : isSignalable(pid) ? findStartByPs(pid) : undefined;
  return start === undefined ? undefined : { pid, start };
}

/** True while the process that was identified runs. */
export function isRunning({ pid, start }: ProcessIdentity): boolean {
  const now = findProcess(pid);
  return now !== undefined && (now.start === start || now.start === 'unknown' || start === 'unknown');
}

/** The command line of a process as far as the system shows it; undefined when it does not. */
export function findCommandLine(pid: number): string | undefined {
  try {
    if (process.platform === 'linux')
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return askPs('command=', pid);
  } catch {
    return undefined;
  }
}

/** The 22nd field, in clock ticks since boot: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function findStartInProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[18]}`;
  } catch {
    // Processes of others can be hidden (hidepid).
    return isSignalable(pid) ? 'unknown' : undefined;
  }
}

function findStartByPs(pid: number): string | undefined {
  try {
    const [, state, start] = askPs('stat=,lstart=', pid).match(/^(\S+)\s+(.*)$/) ?? [];
    return state?.startsWith('Z') ? undefined : (start ?? 'unknown');
  } catch {
    return 'unknown';
  }
}

function askPs(columns: string, pid: number): string {
  return execFileSync('ps', ['-o', columns, '-p', String(pid)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

function isSignalable(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
