import { parseConcurrent } from '../sql/concurrent.ts';
import type { Statement } from '../sql/split.ts';
import { leadingWords } from '../sql/tokens.ts';

/**
 * Consecutive statements of a migration with `transaction:false` that are carried out together.
 * `settings`: they prepare the session, and are carried out again in each new one.
 * `transaction`: a statement that can be given a transaction of its own, or all from a BEGIN to its COMMIT.
 * `alone`: a statement that commits by itself, perhaps several times.
 */
export interface Piece {
  readonly kind: 'settings' | 'transaction' | 'alone';
  /** Indexes of statements: from `from` up to, not including, `to`. */
  readonly from: number;
  readonly to: number;
  /** The migration begins the transaction itself. */
  readonly ownBlock: boolean;
}

/** Divides statements into pieces, in their order. */
export function divideIntoPieces(text: string, statements: readonly Statement[]): Piece[] {
  const pieces: Piece[] = [];
  for (let from = 0; from < statements.length; ) {
    const words = wordsOf(text, statements[from]);
    if (beginsTransaction(words)) {
      const { to, chained } = endOfBlock(text, statements, from);
      pieces.push({ kind: chained ? 'alone' : 'transaction', from, to, ownBlock: true });
      from = to;
    } else {
      const statement = statements[from] as Statement;
      const kind = kindOf(words, text.slice(statement.start, statement.end));
      pieces.push({ kind, from, to: from + 1, ownBlock: false });
      from++;
    }
  }
  return pieces;
}

const wordsOf = (text: string, statement: Statement | undefined) =>
  statement ? leadingWords(text, statement.start, 4) : [];

function beginsTransaction([first, second]: readonly string[]): boolean {
  return first === 'begin' || (first === 'start' && second === 'transaction');
}

/** Whether the words end a transaction, rather than go back to a savepoint. */
export function endsTransaction([first, second, third]: readonly string[]): boolean {
  if (first === 'commit' || first === 'end' || first === 'abort') return true;
  if (first === 'prepare') return second === 'transaction';
  return first === 'rollback' && second !== 'to' && third !== 'to';
}

function endOfBlock(text: string, statements: readonly Statement[], from: number) {
  let chained = false;
  for (let at = from + 1; at < statements.length; at++) {
    const words = wordsOf(text, statements[at]);
    if (!endsTransaction(words)) continue;
    if (!words.includes('chain') || words.includes('no')) return { to: at + 1, chained };
    chained = true;
  }
  return { to: statements.length, chained };
}

const settingWords = new Set([
  'set',
  'reset',
  'discard',
  'load',
  'listen',
  'unlisten',
  'prepare',
  'deallocate',
]);

/** The server refuses these in a transaction, or they can commit on their own. */
const aloneWords = new Set(['vacuum', 'call', 'commit', 'end', 'rollback', 'abort', 'checkpoint']);
const aloneObjects = new Set(['database', 'tablespace', 'subscription', 'system']);

function kindOf([first = '', second = '']: readonly string[], statement: string): Piece['kind'] {
  if (settingWords.has(first)) return 'settings';
  if (first === 'select' && /\bset_config\s*\(/i.test(statement)) return 'settings';
  if (aloneWords.has(first)) return 'alone';
  if (['create', 'alter', 'drop'].includes(first) && aloneObjects.has(second)) return 'alone';
  // What a DO block calls may commit as well.
  if (first === 'do' && /\b(commit|rollback|call)\b/i.test(statement)) return 'alone';
  return parseConcurrent(statement) ? 'alone' : 'transaction';
}

/** Whether carrying it out once more, after it was carried out in part or whole, comes to the same. */
export function isRepeatable(words: readonly string[]): boolean {
  const [first = '', second = ''] = words;
  return (
    ['vacuum', 'analyze', 'checkpoint', 'reindex', 'cluster', 'refresh'].includes(first) ||
    (first === 'alter' && second === 'system')
  );
}

/** Whether a statement that begins with these words can commit a part of its work before it fails. */
export function canCommit([first]: readonly string[]): boolean {
  return first === 'call' || first === 'do';
}
