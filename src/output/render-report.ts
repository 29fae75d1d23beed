import { Chalk, type ChalkInstance } from 'chalk';
import type { Column, Report } from './report.ts';

/** Text for a terminal, or for a pipe when `colours` is false. Ends with a line feed unless empty. */
export async function renderText(report: Report, colours: boolean): Promise<string> {
  if (report.text !== undefined) return report.text;
  const paragraphs: string[] = [];
  const hidden = Math.max(0, report.rows.length - (report.shown ?? report.rows.length));
  if (hidden > 0) paragraphs.push(`${hidden} more before these`);
  if (report.columns && report.rows.length > 0)
    paragraphs.push(await renderTable(report.columns, report.rows.slice(hidden), colours));
  if (report.message) paragraphs.push(report.message);
  return paragraphs.length > 0 ? `${paragraphs.join('\n\n')}\n` : '';
}

/** The one JSON document of a command: `{ ok, rows, summary }`. */
export function renderJson({ rows, summary, warnings, text, failing }: Report): string {
  const more = {
    ...(warnings && warnings.length > 0 ? { warnings } : {}),
    ...(text === undefined ? {} : { text }),
  };
  return `${JSON.stringify({ ok: failing !== true, rows, summary: { ...summary, ...more } }, null, 2)}\n`;
}

async function renderTable(
  columns: readonly Column[],
  rows: readonly object[],
  colours: boolean,
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const paint = paintWith(colours);
  const table = new Table({
    head: columns.map(({ title }) => paint.bold(title)),
    chars: blankBorders,
    // Its own colours would reach a pipe.
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2, compact: true },
    colAligns: columns.map(({ align }) => align ?? 'left'),
  });
  for (const row of rows) table.push(columns.map((column) => cell(column, row, paint)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function cell({ key, show, colour }: Column, row: object, paint: ChalkInstance): string {
  const value = (row as Record<string, unknown>)[key];
  const text = show
    ? show(value as never, row as never)
    : value === null || value === undefined
      ? ''
      : String(value);
  // Syllables of Hangul that come in pieces, as macOS names files, would be counted piece by piece.
  const whole = text.normalize('NFC');
  const painted = colour?.(value as never);
  return painted ? paint[painted](whole) : whole;
}

const blankBorders = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((name) => [name, '']),
);

/** Colours, or none. */
export function paintWith(colours: boolean): ChalkInstance {
  return new Chalk({ level: colours ? 1 : 0 });
}
