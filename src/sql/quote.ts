/** The value as an SQL literal or identifier, as quote_literal and quote_ident write it, always quoted. */
export function quoteText(value: string, as: 'literal' | 'identifier'): string {
  if (as === 'identifier') return `"${value.replaceAll('"', '""')}"`;
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return quoted.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
