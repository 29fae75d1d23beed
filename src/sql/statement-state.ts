import { skipBlanks, skipIdentifier } from './tokens.ts';

/** What has been seen of the statement that a scan is in. */
export interface StatementState {
  start: number;
  parentheses: number;
  /** Depth of BEGIN ATOMIC and of CASE within it. */
  blocks: number;
  words: number;
  creates: 'no' | 'create' | 'routine';
  copy: 'no' | 'copy' | 'from' | 'from stdin';
}

/** A statement that begins at `start`; none yet, when that is -1. */
export const newState = (start: number): StatementState => ({
  start,
  parentheses: 0,
  blocks: 0,
  words: 0,
  creates: 'no',
  copy: 'no',
});

/** Follows the few words that decide where a statement ends. */
export function noteWord(state: StatementState, word: string, text: string, end: number): void {
  const place = state.words++;
  if (state.parentheses > 0) return;
  if (place === 0) {
    if (word === 'create') state.creates = 'create';
    else if (word === 'copy') state.copy = 'copy';
  } else if (state.creates === 'create') {
    if (word === 'function' || word === 'procedure') state.creates = 'routine';
    else if (word !== 'or' && word !== 'replace') state.creates = 'no';
  } else if (state.creates === 'routine') {
    if (word === 'begin' && state.blocks === 0 && nextWord(text, end) === 'atomic') state.blocks = 1;
    else if (word === 'case' && state.blocks > 0) state.blocks++;
    else if (word === 'end' && state.blocks > 0) state.blocks--;
  } else if (state.copy === 'copy') {
    if (word === 'from') state.copy = 'from';
  } else if (state.copy === 'from') {
    state.copy = word === 'stdin' ? 'from stdin' : 'no';
  }
}

function nextWord(text: string, from: number): string {
  const at = skipBlanks(text, from);
  return text.slice(at, skipIdentifier(text, at)).toLowerCase();
}

/** The end of the word that follows behind blanks and comments. */
export function afterNextWord(text: string, from: number): number {
  return skipIdentifier(text, skipBlanks(text, from));
}
