import type { Duplex } from 'node:stream';
import { connectionClosed } from './explain-error.ts';

/**
 * Follows what the server answers to each message of the simple query protocol.
 * Several statements in one message are several times faster than one by one, but an error that has no position
 * (a constraint, say) does not tell which of them it was: the number of completed ones does.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
 */
export interface StatementTap {
  /** One answer for each message answered since `reset`; the last one may be under way. */
  readonly answers: readonly Answer[];
  /** The key that cancels this connection's statements, as the server gave it: a process id and a secret. */
  readonly cancelKey: Buffer | undefined;
  /** Whether the session was in a transaction block when the server last said that it is ready. */
  readonly transaction: 'none' | 'open' | 'failed';
  /** What the last completed statement said it did: `COMMIT`, `INSERT 0 1`. */
  readonly lastTag: string;
  /** How many statements have begun or committed a transaction. */
  readonly boundaries: number;
  /** The error with which the server, or a pooler, ended the session; by field code, as in an answer. */
  readonly fatal: ReadonlyMap<string, string> | undefined;
  /** Forgets the answers. Call it while nothing is under way. */
  reset(): void;
  /** Resolves when the server has answered the message under way, with its answer; rejects when the connection breaks. */
  nextAnswer(): Promise<Answer>;
  /** Calls `listener` whenever the server is ready for another query. */
  onReady(listener: () => void): void;
}

/** What came of one message. */
export interface Answer {
  /** How many of its statements were completed. */
  completed: number;
  /** The server's error, by field code: https://www.postgresql.org/docs/current/protocol-error-fields.html */
  error?: ReadonlyMap<string, string>;
}

const [commandComplete, emptyQueryResponse, errorResponse, readyForQuery, backendKeyData] = [
  67, 73, 69, 90, 75,
];
const readTypes = [commandComplete, errorResponse, readyForQuery, backendKeyData];
const headerBytes = 5;
const boundaryTags = new Set(['BEGIN', 'START TRANSACTION', 'COMMIT', 'PREPARE TRANSACTION']);

/** Listens to what the server says on `socket`, which must be plain here (the inside of a TLS stream is). */
export function tapStatements(socket: Duplex): StatementTap {
  let answers: Answer[] = [{ completed: 0 }];
  let transaction: StatementTap['transaction'] = 'none';
  let waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  const header = Buffer.alloc(headerBytes);
  let headerLength = 0;
  let left = 0;
  let closed = false;
  let body: Buffer[] | undefined;
  let cancelKey: Buffer | undefined;
  let lastTag = '';
  let boundaries = 0;
  let fatal: ReadonlyMap<string, string> | undefined;
  let tellReady = () => {};

  const current = () => answers.at(-1) as Answer;
  const bodyEnds = (content: Buffer) => {
    if (header[0] === commandComplete) {
      lastTag = content.toString('latin1', 0, content.length - 1);
      if (boundaryTags.has(lastTag)) boundaries++;
    } else if (header[0] === errorResponse) {
      const error = parseFields(content);
      current().error = error;
      if (/^(FATAL|PANIC)$/.test(error.get('V') ?? error.get('S') ?? '')) fatal = error;
    } else if (header[0] === backendKeyData) {
      cancelKey = Buffer.from(content);
    } else {
      transaction = content[0] === 73 ? 'none' : content[0] === 84 ? 'open' : 'failed';
      const answer = current();
      answers.push({ completed: 0 });
      const told = waiting;
      waiting = [];
      for (const { resolve } of told) resolve(answer);
      tellReady();
    }
  };
  const headerEnds = () => {
    const type = header[0];
    left = header.readUInt32BE(1) - 4;
    headerLength = 0;
    if (type === commandComplete || type === emptyQueryResponse) current().completed++;
    body = readTypes.includes(type as number) ? [] : undefined;
  };

  socket.on('data', (chunk: Buffer) => {
    let at = 0;
    while (at < chunk.length) {
      if (left > 0) {
        const step = Math.min(left, chunk.length - at);
        body?.push(chunk.subarray(at, at + step));
        left -= step;
        at += step;
        if (left === 0 && body) bodyEnds(body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body));
      } else {
        const step = Math.min(headerBytes - headerLength, chunk.length - at);
        chunk.copy(header, headerLength, at, at + step);
        headerLength += step;
        at += step;
        if (headerLength === headerBytes) headerEnds();
      }
    }
  });

  socket.once('close', () => {
    closed = true;
    for (const { reject } of waiting) reject(connectionClosed());
  });

  return {
    get answers() {
      return answers;
    },
    get cancelKey() {
      return cancelKey;
    },
    get transaction() {
      return transaction;
    },
    get lastTag() {
      return lastTag;
    },
    get boundaries() {
      return boundaries;
    },
    get fatal() {
      return fatal;
    },
    reset() {
      answers = [{ completed: 0 }];
    },
    onReady(listener) {
      tellReady = listener;
    },
    nextAnswer() {
      if (closed) return Promise.reject(connectionClosed());
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
  };
}

function parseFields(content: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of content.toString('utf8').split('\0')) {
    if (field !== '') fields.set(field[0] as string, field.slice(1));
  }
  return fields;
}
